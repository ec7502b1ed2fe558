"""Make the files that tests keep, with this version of bayeshyper: ``python -m tests.files.make v2``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from tests.files.cases import CASES, predictions


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")  # of columns and categories that are strange on purpose
    for name, case in CASES.items():
        fitted = case.fit()
        fitted.save(folder / f"{name}.bayeshyper")
        np.savez_compressed(folder / f"{name}.npz", **predictions(fitted, case.fresh()))
    fitted.sample_weights(3, seed=1).save(folder / "ensemble.safetensors")


if __name__ == "__main__":
    main(Path(__file__).parent / sys.argv[1])
