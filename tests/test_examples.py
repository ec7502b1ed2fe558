"""Each example runs as it stands, anywhere, without a warning, and shows what it says it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

# What each must print: patterns, in this order.
EXPECTED = {
    "amortised_guide": [
        r"whole +-8[01]\.\d +-8[01]\.\d +0\.[0-4]\d +0\.[12]\d sd +× (0\.9|1\.0)\d",
        r"upper half +-3[89]\.\d +-3[89]\.\d +0\.[0-4]\d +0\.[12]\d sd +× (0\.9|1\.0)\d",
        r"best of all, has -80\.4",
        r"latent 4 ",
    ],
    "any_model": [
        r"forest: Over-confident",
        r"middle 90.% of its draws in (5\d|6\d)",
        r"improves the CRPS by [12]\.\d",
        r"ridge:  Calibrated",
        r"less the ridge's: \+1\.\d\d \(\+0",
        r"Wrote .*report\.html",
    ],
    "arviz_checks": [
        r"log_scale +-?\d",
        r"f\[2\] .* 1\.\d",
        r"elpd_loo|elpd",
        r"mean field +0 ",
        r"LOO-PIT: \d",
        r"p = 0\.\d",
        r"The same rows, seen: -\d",
    ],
    "audit": [r"mlp, in nats", r"\(honest\)", r"mean-field, in nats", r"at least \d+\.\d nats closer"],
    "classification": [r"known kinds: (9\d|100)%", r"Barolo +Grignolino +entropy", r"epistemic +(0\.9|1\.0)"],
    "counts": [
        r"gaussian +-[34]\.\d+",
        r"poisson +-[3-9]\.\d+ +[67]\d%",
        r"negative-binomial +-(3\.[89]|4\.0)\d* +(8[5-9]|9\d)%",
        r"differ by [45]\d% ± \d%",
        r" 8 +\d\d\.\d +\d\d +1\d\d +0\.000 +0\.\d",
    ],
    "eight_schools": [
        r"eight schools \| AutoNormal \| AutoHypernetwork \| NUTS, non-centred",
        r"τ, mean ± sd .*\| 3\.\d+ ± [2-4]\.\d+ \|\n",
        r"k̂ of the importance weights",
        r"funnel \| AutoNormal \| AutoHypernetwork \| the funnel itself",
        r"v, mean ± sd ",
        r"time in all",
    ],
    "entropy_estimators": [
        r"linearized +\| 13\.\d +\| 13\.\d ± 0\.0 +\| 0\.0 +\| 1\.00",
        r"hierarchical +\| 13\.\d +\| 13\.\d ± 0\.0",
        r"semi-implicit +\| 13\.\d +\| 4\.2 ± 0\.0 .* 0\.00 ",
        r"stein +\| 13\.\d +\| no value",
        r"renyi +\| -25\.9 +\| -26\.\d",
        r"prior-contrastive: the entropy, by the log-odds",
    ],
    "fashion_mnist": [
        r"made-up set",
        r"MAP +\d\.\d\d +[01]\.\d{4}",
        r"ensemble of 5 +1\.00",
        r"low-rank head +0\.\d\d",
        r"modulation head +0\.\d\d",
        r"low-rank head: (the aim is reached|it falls short in )",
    ],
    "own_likelihood": [r"ELBO per row: -\d", r"shape: [3-7]\.\d ± [01]\.\d", r" 0 +2\.72 +[23]\.\d"],
    "own_network": [
        r"every weight uncertain: +-5\.[4-6]",
        r"bmi +\+0\.\d\d ± 0\.\d\d +clear",
        "untouched: True",
    ],
    "plain_pyro": [r"step 800: ELBO", r"density per row: 0\.[4-9]", r"parameters in Pyro's store: 0"],
    "regression": [
        r"female +NaN",
        r"90 % intervals hold (8[4-9]|9\d)%",
        r"-5\.[4-6]\d+ nats",
        r"to the bit: True",
    ],
    "repair": [
        r"as it was +-[34]\.\d+ +\d\d\.\d% +\d\.\d%",
        r"temperature scaling +-0\.\d+ ",
        r"improves the log score by [34]\.\d+ nats",
        r"before: Over-confident",
        r"after:  Calibrated",
        r"hold the digit in 9[2-8]\.\d%",
        r"trees say +hold +[5-7]\d%",
        r"conformal quantiles +hold +(8[5-9]|9\d)%",
    ],
    "weight_ensemble": [
        r"50 draws of 1,601 weights",
        r"layers\.0\.weight +\(50, 50, 30\)",
        r"alone agree: True",
    ],
}

# Of a minute or more.
LONG = {"eight_schools", "entropy_estimators", "fashion_mnist"}


def run(name: str, folder: Path) -> str:
    """What an example prints, started from an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONIOENCODING": "utf-8"}
    script = [sys.executable, str(EXAMPLES / f"{name}.py")]
    result = subprocess.run(
        script, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert not list(folder.iterdir()), "an example leaves nothing behind"
    return result.stdout


def test_every_example_is_held_to_something() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(EXPECTED)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in EXPECTED]
)
def test_an_example_runs_and_shows_what_it_promises(name: str, tmp_path: Path) -> None:
    printed = run(name, tmp_path)
    at = 0
    for pattern in EXPECTED[name]:
        found = re.compile(pattern).search(printed, at)
        assert found, f"{pattern!r} is not in, or out of order:\n{printed}"
        at = found.end()
    if name == "classification":
        check_where_the_doubt_comes_from(printed)
    if name == "eight_schools":
        check_which_guide_is_nearer(printed)


def check_which_guide_is_nearer(printed: str) -> None:
    """On both models ours is wider than mean field, as the reference is, and its ELBO is higher."""
    spreads = re.findall(r"mean ± sd \| \S+ ± (\S+) \| \S+ ± (\S+) \| \S+ ± (\S+) \|", printed)
    elbos = re.findall(r"ELBO in nats, higher is better \| −(\S+) \| −(\S+) \|", printed)
    assert len(spreads) == len(elbos) == 2
    for normal, hypernetwork, reference in np.array(spreads, dtype=float):
        assert normal < hypernetwork < reference
    for normal, hypernetwork in np.array(elbos, dtype=float):
        assert hypernetwork < normal  # both are below 0


def check_where_the_doubt_comes_from(printed: str) -> None:
    """Total doubt is the sum of its parts, and the epistemic part is the one that knows the unseen kind."""
    rows = [row.split()[-5:] for row in printed.splitlines() if re.match(" *(known|never seen) ", row)]
    assert len(rows) == 10
    for first, second, entropy, aleatoric, epistemic in np.array(rows, dtype=float):
        assert first + second == pytest.approx(1.0, abs=0.002)
        assert entropy == pytest.approx(aleatoric + epistemic, abs=0.002)
    found = {part: float(score) for part, score in re.findall(r"(\w+) +(\d\.\d\d)$", printed, re.MULTILINE)}
    assert found["epistemic"] > max(0.85, found["entropy"], found["aleatoric"])
