"""Load mutated model files in a process of few means, and say what came of it.

``python -m tests.fuzz.child FOLDER SEED COUNT`` loads so many files, each made from one of FOLDER, and prints
what happened as JSON. Nothing but the file itself may be opened meanwhile, no object unpickled, no process
started; each load has a few seconds and a few hundred MB.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bayeshyper import load
from bayeshyper.errors import BayeshyperError, ModelFileError
from tests.files.cases import CASES, predictions
from tests.fuzz.mutations import MUTATIONS

FAR = 1e3  # encoded, in standard deviations: beyond it, a network may overflow
SECONDS = 10  # of the processor's time
MEGABYTES = 400
ALLOWED = ("/proc/", "/sys/")  # where psutil reads how much memory there is
FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
)


class Watch:
    """Notes what is opened or run while it is on."""

    def __init__(self) -> None:
        self.on, self.seen = False, []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and (event in FORBIDDEN or (event == "open" and not str(args[0]).startswith(ALLOWED))):
            self.seen.append((event, str(args[0])))

    @contextlib.contextmanager
    def only(self, path: Path) -> Iterator[None]:
        self.on, self.seen = True, []
        try:
            yield
        finally:
            self.on = False
        # A stack that somebody looks at shows lines of the program's own source.
        sources = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
        wrong = [
            (what, name) for what, name in self.seen if what != "open" or name not in {str(path), *sources}
        ]
        assert not wrong, f"opened or ran {wrong}"


def hang(*_: Any) -> None:
    raise AssertionError(f"took more than {SECONDS} s")


def network(name: str) -> Any:
    return CASES[name].network() if CASES[name].network else None


def attempt(name: str, path: Path, original: dict[str, Any], anew: bool, watch: Watch) -> str:
    """What came of loading a file: "refused" or "loaded"; else an AssertionError says what is wrong."""
    try:
        with watch.only(path):
            model = load(path, network=network(name))
    except ModelFileError as error:
        if "alloc" in str(error):  # torch's word for memory that it did not get
            raise AssertionError("wanted more memory") from error
        return "refused"
    if not anew:
        found = predictions(model, CASES[name].fresh())
        assert all(np.array_equal(found[key], original[key]) for key in original), "other predictions"
        return "loaded"
    model.summary()
    try:
        found = predictions(model, CASES[name].fresh())
        assert all(len(values) == 9 for values in found.values()), "other rows"
        near = (np.abs(found["encoded"]) < FAR).all(axis=1)
        assert all(np.isfinite(values[near]).all() for values in found.values()), "no finite predictions"
    except ValueError as error:  # the table may not be of the columns that the file now says
        if not isinstance(error, BayeshyperError) and "feature names" not in str(error):  # scikit-learn's own
            raise
    again = path.with_suffix(".again")
    model.save(again)
    same = load(again, network=network(name))
    assert same.summary() == model.summary(), "another summary"
    assert torch.equal(same._draws, model._draws), "other draws"
    return "loaded"


def main(folder: Path, seed: int, count: int) -> None:
    warnings.simplefilter("ignore")
    files = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.bayeshyper"))}
    originals = {}
    for name in files:
        model = load(folder / f"{name}.bayeshyper", network=network(name))
        originals[name] = predictions(model, CASES[name].fresh())
    watch = Watch()
    signal.signal(signal.SIGPROF, hang)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEGABYTES * 2**20,) * 2)
    outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults = []
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "m.bayeshyper"
        for number in range(seed, seed + count):
            chance = random.Random(number)
            name, kind = chance.choice(list(files)), chance.choice(list(MUTATIONS))
            mutate, anew = MUTATIONS[kind]
            content = mutate(chance, files[name])
            path.write_bytes(content)
            kind = kind if content != files[name] else "unchanged"
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                outcomes[kind][attempt(name, path, originals[name], anew, watch)] += 1
            except Exception:
                faults.append(f"case {number}, {kind} of {name}: {traceback.format_exc()}")
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    print(json.dumps({"outcomes": outcomes, "faults": faults}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
