"""A new head takes one file and no change elsewhere: the one in CONTRIBUTING.md, in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("bayeshyper", "models", "inference")

# Run in the copy: it is known by its name, its option is a recipe's key, it fits, and a file brings it back.
SCRIPT = """
import warnings
import numpy as np
from bayeshyper import HyperRegressor
from bayeshyper.errors import NotConvergedWarning, RecipeError
from bayeshyper.hypernets import HEADS
from bayeshyper.testing import HeadTestCase

warnings.simplefilter("ignore", NotConvergedWarning)  # so few steps are enough to see that it trains
x = np.random.default_rng(0).normal(size=(40, 2))
y = x[:, 0] + 0.1 * x[:, 1]
new = {"hypernetwork.head": "shared", "hypernetwork.distinct": 7, "optimizer.steps": 40}
model = HyperRegressor(settings=new, inference="svi", random_state=0, verbose=False).fit(x, y)
head = model._guide.hypernetwork.head
print(type(head).__name__, head.few[0].shape[1])

model.save("new.bayeshyper")
again = HyperRegressor.load("new.bayeshyper")
print("the same:", np.array_equal(model.predict(x), again.predict(x)))

try:
    HyperRegressor(settings=new | {"hypernetwork.distnct": 2}, verbose=False).fit(x, y)
except RecipeError as error:
    print("refused:", error)

class TestShared(HeadTestCase):
    def make(self, spec, features, members):
        return HEADS["shared"](spec, features=features, members=members, distinct=5)

laws = [name for name in dir(TestShared) if name.startswith("test_")]
for law in laws:
    getattr(TestShared(), law)()
print("laws:", len(laws))
"""


def test_the_head_of_the_manual_is_found_fits_and_comes_back_from_a_file(tmp_path: Path) -> None:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (example,) = re.findall(
        r"```python\n(.*?class SharedHead.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
    )
    (tmp_path / "bayeshyper" / "hypernets" / "heads" / "shared.py").write_text(example, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (result.returncode, result.stderr) == (0, "")
    made, same, refused, laws = result.stdout.splitlines()
    assert made == "SharedHead 7"
    assert same == "the same: True"
    assert refused.endswith("the nearest is hypernetwork.distinct."), refused
    assert int(laws.split()[1]) > 10
