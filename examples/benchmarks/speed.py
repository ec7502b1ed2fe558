r"""How fast it is, as ratios within one run: a step, its growth, its memory, and prediction.

    python examples/benchmarks/speed.py            # some minutes; writes results/speed.csv
    python examples/benchmarks/speed.py --quick    # a look

Everything runs on one thread and is timed in turns with what it is compared with, by the process's own
clock; a ratio is the median over the turns. What a table compares:

- step: one training step against the same arithmetic by hand in plain torch (tests/reference/floor.py).
- growth: how much dearer a step gets from one size to the next, ours over the floor's.
- tyxe: against Pyro as TyXe uses it (tyxe_style.py), at equal work: the same network, prior, likelihood,
  batch, particles and family (mean field, weights sampled); and one hypernetwork of ours, which does more.
  TyXe loops over particles: with only one there is no loop to save, and no bar.
- memory: the most that a step, or a prediction, takes beyond what the process held before.
- prediction: 1000 members on many rows, in float64 as the library predicts, against `baddbmm` and ReLU by
  hand in the blocks and the layout found fastest; and against one product for all members and rows.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
sys.path.insert(0, str(Path(__file__).parents[2]))  # for the floor, which is kept with the tests

import torch
from torch import Tensor
from tyxe_style import tyxe_step

from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target
from bayeshyper.prediction import PredictiveDistribution
from tests.reference.steps import FEATURES, ROWS, Shape, floor_step, library_step

OUT = Path(__file__).parent / "results" / "speed.csv"
ONE = Shape(particles=4, rows=256)
DEFAULT = Shape(members=4, particles=1, rows=128)  # inference/svi.toml
WIDE = Shape(noise_dim=16, trunk=(64, 64))
STEPS = {
    "default": DEFAULT,
    "1 member, S = 4, N = 256": ONE,
    "4 members, S = 2": replace(DEFAULT, members=4, particles=2),
    "d = 16, k = 80": WIDE,
    "d = 16, k = 80, N = 927": replace(WIDE, rows=927),
}
SMALL = Shape(particles=1, rows=64)
GROWTH = {
    "S = 1 to 16, N = 64": (SMALL, replace(SMALL, particles=16)),
    "S = 1 to 16, N = 927": (replace(SMALL, rows=927), replace(SMALL, particles=16, rows=927)),
    "1 to 5 members, N = 64": (replace(SMALL, particles=8), replace(SMALL, particles=8, members=5)),
    "1 to 5 members, N = 927": (
        replace(SMALL, particles=8, rows=927),
        replace(SMALL, particles=8, rows=927, members=5),
    ),
    "N = 64 to 1024": (replace(ONE, rows=64), replace(ONE, rows=1024)),
    "D = 502 to 8002": (ONE, replace(ONE, units=800)),
    "k = 24 to 136": (replace(ONE, trunk=(32, 16)), replace(ONE, trunk=(32, 128))),
}
MEMBERS, UNITS = 1000, 50
T = TypeVar("T")


class Result(NamedTuple):
    """One measured number, with the bar it is held to (empty where there is none)."""

    table: str
    case: str
    measure: str
    value: float
    bar: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--out", type=Path, default=OUT, help="the CSV file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    turns = 40 if options.quick else 100
    results: list[Result] = []
    for table in (steps(turns), growth(turns), tyxe(turns), memory(), prediction(5 if options.quick else 15)):
        for result in table:
            value = f"{result.value:8.2f}"
            print(f"{result.table:11} {result.case:26} {result.measure:38} {value}  {result.bar}", flush=True)
            results.append(result)
    write(results, options.out)


def write(results: list[Result], path: Path) -> None:
    """Results as CSV."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Result._fields)
        writer.writerows([*result[:3], f"{result.value:.4g}", result.bar] for result in results)


def in_turns(turns: int, *actions: Callable[[], object]) -> list[list[float]]:
    """Seconds of each action, turn by turn, after a tenth of the turns to warm up."""
    seconds: list[list[float]] = [[] for _ in actions]
    for turn in range(-(turns // 10) - 1, turns):
        for action, taken in zip(actions, seconds, strict=True):
            started = time.process_time()
            action()
            if turn >= 0:
                taken.append(time.process_time() - started)
    return seconds


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median over turns of the quotient within a turn."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def on_batch(step: Callable[[Tensor, Tensor], None], shape: Shape) -> Callable[[], None]:
    x, y = shape.batch()
    return lambda: step(x, y)


def steps(turns: int) -> Iterator[Result]:
    for case, shape in STEPS.items():
        ours, floor = in_turns(
            turns, on_batch(library_step(shape), shape), on_batch(floor_step(shape), shape)
        )
        yield Result("step", case, "ms", 1e3 * statistics.median(ours))
        yield Result("step", case, "times the floor", ratio(ours, floor), "<= 1.2")


def growth(turns: int) -> Iterator[Result]:
    for case, shapes in GROWTH.items():
        made = [on_batch(make(s), s) for make in (library_step, floor_step) for s in shapes]
        small, large, floor_small, floor_large = in_turns(turns, *made)
        ours, floor = ratio(large, small), ratio(floor_large, floor_small)
        yield Result("growth", case, "ours", ours)
        yield Result("growth", case, "the floor's", floor)
        yield Result("growth", case, "ours over the floor's", ours / floor, "<= 1.2")


def tyxe(turns: int) -> Iterator[Result]:
    for shape in (replace(ONE, particles=1), ONE, replace(ONE, particles=8)):
        theirs = tyxe_step(FEATURES, shape.units, ROWS, shape.particles)
        equal = library_step(replace(shape, noise_dim=0), local=False)
        made = [on_batch(step, shape) for step in (theirs, equal, library_step(shape))]
        taken = in_turns(turns // 4, *made)
        case, bar = f"S = {shape.particles}, N = {shape.rows}", ">= 5" if shape.particles > 1 else ""
        yield Result("tyxe", case, "times faster at equal work", ratio(taken[0], taken[1]), bar)
        yield Result("tyxe", case, "times faster, one member of ours", ratio(taken[0], taken[2]))


def memory() -> Iterator[Result]:
    for case, shape in {
        "default": DEFAULT,
        "S = 8, N = 8192": replace(ONE, particles=8, rows=8192),
    }.items():
        ours, floor = (alone(_step_memory, kind, shape) for kind in ("ours", "floor"))
        yield Result("memory", case, "MB, a step", ours)
        yield Result("memory", case, "times the floor", ours / floor)
        yield Result("memory", case, "of TyXe's", ours / alone(_step_memory, "tyxe", shape))
    for members, rows in ((1000, 2000), (1000, 20_000), (4000, 2000)):
        used = alone(_prediction_memory, members, rows)
        yield Result("memory", f"{members} members, {rows} rows", "MB, predictive mean", used)


def prediction(turns: int) -> Iterator[Result]:
    for rows in (2000, 10_000):
        yield from _beside_baddbmm(rows, turns)


def _beside_baddbmm(rows: int, turns: int) -> Iterator[Result]:
    model, weights, x = _ensemble(MEMBERS, rows)
    by_hand, mean, functions, outputs, large = in_turns(
        turns,
        lambda: _by_hand(weights, x, draws=2, rows=2000),
        lambda: PredictiveDistribution(model, weights, x).mean,
        lambda: PredictiveDistribution(model, weights, x).functions(),
        torch.no_grad()(lambda: model.outputs(weights, x)),
        lambda: _by_hand(weights, x, draws=100, rows=rows),
    )
    case, outputs_made = f"{MEMBERS} members, {rows} rows", MEMBERS * rows
    yield Result("prediction", case, "million outputs a second", outputs_made / statistics.median(mean) / 1e6)
    yield Result("prediction", case, "model.outputs, of baddbmm's speed", ratio(by_hand, outputs), ">= 0.8")
    yield Result("prediction", case, "mean, of baddbmm's speed", ratio(by_hand, mean), ">= 0.8")
    yield Result("prediction", case, "functions, of baddbmm's speed", ratio(by_hand, functions), ">= 0.8")
    yield Result("prediction", case, "mean, of 100 members' in one product", ratio(large, mean))


@torch.no_grad()
def _by_hand(weights: Tensor, x: Tensor, *, draws: int, rows: int) -> Tensor:
    """Every member's output for every row, ``(S, N)``."""
    first, bias, last, end = weights[:, :-1].split([FEATURES * UNITS, UNITS, UNITS, 1], dim=1)
    outputs = weights.new_empty(len(weights), len(x))
    for start in range(0, len(x), rows):
        columns = x[start : start + rows].T.contiguous()
        for s in (slice(at, at + draws) for at in range(0, len(weights), draws)):
            matrix = first[s].view(-1, UNITS, FEATURES)
            h = torch.baddbmm(bias[s].unsqueeze(2), matrix, columns.expand(len(matrix), -1, -1)).relu_()
            out = torch.baddbmm(end[s].unsqueeze(2), last[s].unsqueeze(1), h)
            outputs[s, start : start + rows] = out.squeeze(1)
    return outputs


def _ensemble(members: int, rows: int) -> tuple[BayesianModel, Tensor, Tensor]:
    target = Target(MLP(FEATURES, 1, hidden=(UNITS,)))
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=ROWS).double()
    weights = 0.1 * torch.randn(members, model.spec.size, dtype=torch.float64)
    return model, weights, torch.randn(rows, FEATURES, dtype=torch.float64)


def alone(function: Callable[..., T], *arguments: object) -> T:
    """A function's result in a process of its own, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _peak(action: Callable[[], object]) -> float:
    """The most memory, in MB, that the process takes during an action beyond what it holds now (Linux)."""

    def status(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))

    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = status("VmRSS")
    action()
    return status("VmHWM") - before


def _step_memory(kind: str, shape: Shape) -> float:
    torch.set_num_threads(1)
    make = {"ours": library_step, "floor": floor_step}
    step = make[kind](shape) if kind in make else tyxe_step(FEATURES, shape.units, ROWS, shape.particles)
    on_batch(step, replace(shape, rows=2))()  # what is loaded and made at the first step
    action = on_batch(step, shape)
    return _peak(lambda: [action() for _ in range(3)])


def _prediction_memory(members: int, rows: int) -> float:
    torch.set_num_threads(1)
    model, weights, x = _ensemble(members, rows)
    PredictiveDistribution(model, weights[:2], x[:2]).mean  # noqa: B018 - what is loaded at the first use
    return _peak(lambda: PredictiveDistribution(model, weights, x).mean)


if __name__ == "__main__":
    main()
