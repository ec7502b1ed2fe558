"""Nothing is asked of a network: importing, fitting, predicting, saving, reporting, the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Whatever Python could reach others by is refused, and noted in case the refusal is caught somewhere.
REFUSING = """
import sys
asked = []
REACHING = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
            "urllib.Request", "webbrowser.open", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
def refuse(event, arguments):
    if event in REACHING:
        asked.append((event, repr(arguments)))
        raise PermissionError(f"refused: {event} {arguments}")
sys.addaudithook(refuse)
"""

LIBRARY = """
import numpy as np, pandas as pd, pyro, torch
import bayeshyper
from bayeshyper import AutoHypernetwork, HyperClassifier, HyperRegressor, load
from bayeshyper.baselines import BaselineRegressor

rng = np.random.default_rng(0)
X = pd.DataFrame({"size": rng.normal(size=60), "where": rng.choice(["north", "south"], 60)})
y = X["size"] + 0.1 * rng.normal(size=60)
settings = {"optimizer.steps": 20}
model = HyperRegressor("mlp", "bayes", random_state=0, n_draws=50, settings=settings).fit(X, y)
model.predict(X)
model.sample_weights(3).save("ensemble.safetensors")
model.report(X, y, "report")
model.to_arviz(X, y)
model.save("model.bayeshyper")
load("model.bayeshyper").predict(X)
HyperClassifier("mlp", "bayes", random_state=0, settings=settings).fit(X, y > 0).predict_proba(X)
BaselineRegressor("map", random_state=0, settings=settings).fit(X, y).predict(X)
X.assign(price=y).to_csv("table.csv", index=False)
X.assign(price=y).to_parquet("table.parquet", index=False)
assert asked == [], asked
"""

COMMANDS = """
from bayeshyper.cli.app import app
for command in (
    "fit table.parquet --target price -o model.bayeshyper --set optimizer.steps=20 --inference bayes",
    "predict model.bayeshyper table.csv -o predictions.csv",
    "report model.bayeshyper table.csv -o report",
    "sample model.bayeshyper -n 3 -o ensemble.safetensors",
    "compare table.csv --target price --model map --set optimizer.steps=20",
    "recipes",
    "--help",
):
    app(command.split(), standalone_mode=False)
assert asked == [], asked
"""


def run(code: str, folder: Path) -> None:
    """Run code in a process of its own, whose every call to a network is refused."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    answer = subprocess.run(
        [sys.executable, "-c", REFUSING + code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


def test_the_refusal_refuses(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"refused: socket\.getaddrinfo"):
        run("import socket; socket.create_connection(('localhost', 9))", tmp_path)


@pytest.mark.long  # it imports, fits and reports in a new process
def test_the_library_asks_nothing_of_a_network(tmp_path: Path) -> None:
    run(LIBRARY, tmp_path)


@pytest.mark.long
def test_the_command_line_asks_nothing_of_a_network(tmp_path: Path) -> None:
    table = "import numpy as np, pandas as pd\n" + LIBRARY[LIBRARY.index("rng =") : LIBRARY.index("settings")]
    files = [line for line in LIBRARY.splitlines() if ".assign(" in line]
    run("\n".join([table, *files]) + COMMANDS, tmp_path)
