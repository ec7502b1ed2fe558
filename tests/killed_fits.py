"""Fits that are killed at random moments, again and again, until one comes to its end.

    python -m tests.killed_fits FOLDER KILLS SEED

Each life of a fit is a process of its own, forked from this one, which has torch loaded already. It is killed
by SIGKILL at a random moment, and every fifth one while its state is being written, which is after each step.
Prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from bayeshyper import HyperRegressor
from bayeshyper.files import remove_unfinished
from bayeshyper.inference import Checkpoint
from bayeshyper.inference.checkpoints import digest

# In seconds: as long as some ten steps and their files take.
LONGEST_LIFE = 0.25
SETTINGS = {"optimizer.steps": 60, "warm_start.steps": 15, "warm_start.natural_steps": 20, "batch_size": 30}


def fitted(checkpoint: Checkpoint | None) -> str:
    """A fit to its end: what it came to, but for the seconds that it took."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=80)
    model = HyperRegressor(settings=SETTINGS, random_state=0, verbose=False).fit(x, y, checkpoint=checkpoint)
    history = {**model.history_.to_dict(), "seconds": 0.0}
    return digest([history, model._guide.state_dict(), model._model.state_dict(), model._draws])


def live(checkpoint: Checkpoint, result: Path) -> int:
    """Start a life of a fit; its process."""
    process = os.fork()
    if process == 0:
        try:
            found = fitted(checkpoint)
            result.with_suffix(".part").write_text(found)
            result.with_suffix(".part").rename(result)
        finally:
            os._exit(0)
    return process


def is_half_written(path: Path) -> bool:
    """Whether there is a file that has not been given its name yet."""
    return any(path.parent.glob(f".{path.name}.*.tmp"))


def wait_for_a_write(path: Path) -> None:
    """Until one has begun, or it must be over."""
    until = time.monotonic() + 10 * LONGEST_LIFE
    while not is_half_written(path) and time.monotonic() < until:
        time.sleep(1e-4)


def main() -> None:
    """Kill as often as asked for, then let the last fit live."""
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    moments = random.Random(seed)
    whole = fitted(None)
    counts = {"kills": 0, "in a write": 0, "fits": 0, "equal": 0}
    while counts["kills"] < kills:
        counts["fits"] += 1
        path = folder / f"{counts['fits']}"
        result = path.with_suffix(".txt")
        while not result.exists():
            remove_unfinished(path)  # of an earlier life, or it would be counted again
            process = live(Checkpoint(path, steps=1), result)
            if counts["kills"] < kills:
                if counts["kills"] % 5:
                    time.sleep(moments.uniform(0.0, LONGEST_LIFE))
                else:
                    wait_for_a_write(path)
                os.kill(process, signal.SIGKILL)
                counts["kills"] += 1
            os.waitpid(process, 0)
            counts["in a write"] += is_half_written(path)
        counts["equal"] += result.read_text() == whole
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
