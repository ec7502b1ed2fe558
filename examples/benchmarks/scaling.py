r"""How memory and time of a training step grow with the network, and what each head costs.

    python examples/benchmarks/scaling.py            # some minutes; writes results/scaling.csv, .svg
    python examples/benchmarks/scaling.py --quick    # a look: up to a million weights

A step is draw, ELBO, gradient and Adam (fused), one member, one particle, 64 rows, on an MLP of two equally
wide hidden layers, the hypernetwork as it comes but for its head. Everything runs on one thread.

- growth: the low-rank head from D = 10⁴ to 10⁷ weights, and the dense head as far as it fits well.
  Memory is the most that a step holds beyond the parameters: gradients, Adam's two moments, the draw, and
  what is kept for the gradient. It is counted allocation by allocation (torch's profiler), in vectors of D
  numbers, 4 D bytes; "resident" is what the operating system counts, in a process of its own. The network's
  own weights, the prior's location and scale and a copy of that, 4 vectors, stand still beside it.
- slope: of log memory and log time over log D, from D = 10⁵ and from 10⁶ on; 1 is linear.
- heads: every head at D = 10⁵; its time is a ratio to the dense head's.

Times are the process's own, taken in turns, so that whatever else the machine does falls on all sizes, and
kept as ratios. They are taken twice: blocks above 32 MB (one vector of D = 10⁷) glibc hands back to the
kernel, which has to clear every page of them anew; told by the environment (KEPT) to keep them, it does not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler is silent

import numpy as np
import torch
from growth import Point, draw
from speed import Result, _peak, alone, in_turns, ratio, write
from torch.profiler import ProfilerActivity, profile

from bayeshyper.hypernets import HEADS, Hypernetwork, HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, elbo_terms
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target

OUT = Path(__file__).parent / "results" / "scaling.csv"
FEATURES, ROWS = 10, 64
SIZES = {
    "low-rank": (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
    "dense": (10_000, 30_000, 100_000, 300_000, 1_000_000),
}
LINEAR_FROM = (100_000, 1_000_000)
HEADS_AT = 100_000
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 36), "MALLOC_TOP_PAD_": str(1 << 28)}

Step = Callable[[], None]
Case = tuple[str, int]
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to a million weights, and fewer turns")
    parser.add_argument(
        "--out", type=Path, default=OUT, help="the CSV file to write; the plot goes beside it"
    )
    options = parser.parse_args()
    most, turns = (1_000_000, 5) if options.quick else (10_000_000, 15)
    points = list(
        measure([(head, size) for head, sizes in SIZES.items() for size in sizes if size <= most], turns)
    )
    results = [*growth(points), *slopes(points), *every_head(turns)]
    for result in results:
        value = f"{result.value:13,.3f}"
        print(f"{result.table:6} {result.case:24} {result.measure:45} {value}  {result.bar}")
    write(results, options.out)
    draw(points, options.out.with_suffix(".svg"))


def step_of(head: str, size: int) -> tuple[Hypernetwork, Step]:
    """A training step as `bayeshyper.inference.fit` takes it, for a network of about so many weights."""
    torch.manual_seed(0)
    # D = F h + h + h² + h + h + 1 for h units, and one more for the noise scale.
    slope = FEATURES + 3
    units = round((math.sqrt(slope**2 + 4 * (size - 2)) - slope) / 2)
    target = Target(MLP(FEATURES, 1, hidden=(units, units)))
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=ROWS, particles=1)
    mean = model.prior.scale * torch.randn(1, model.spec.size)
    hypernetwork = HypernetworkSettings(head=head).build(mean, model.prior.scale, model.spec)
    guide = ImplicitGuide(model, hypernetwork)
    optimizer = torch.optim.Adam([p for p in guide.parameters() if p.requires_grad], fused=True)
    x, y = torch.randn(ROWS, FEATURES), torch.randn(ROWS)

    def step() -> None:
        optimizer.zero_grad()
        terms = elbo_terms(model, guide, x, y)
        (terms.loss / ROWS).backward()
        optimizer.step()

    return hypernetwork, step


def parameters_of(hypernetwork: Hypernetwork) -> int:
    """Numbers that are trained."""
    return sum(p.numel() for p in hypernetwork.parameters() if p.requires_grad)


def allocated(step: Step) -> int:
    """The most bytes, of those that they allocate, that three steps hold at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for _ in range(3):  # the optimizer's moments are made by the first, and held during the second
            step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    held: dict[int, int] = {}
    now = most = 0
    for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: float(e["ts"])):
        place, size = event["args"]["Addr"], event["args"]["Bytes"]
        if size > 0:
            held[place] = size
            now += size
        else:  # what was there before the first step is not counted
            now -= held.pop(place, 0)
        most = max(most, now)
    return most


def measure(cases: Sequence[Case], turns: int) -> Iterator[Point]:
    seconds = alone(_seconds, cases, turns)
    kept = with_environment(KEPT, _seconds, cases, turns)
    for index, (head, size) in enumerate(cases):
        hypernetwork, step = step_of(head, size)
        yield Point(
            head,
            hypernetwork.size,
            parameters_of(hypernetwork),
            allocated(step),
            alone(_resident, head, size),
            ratio(seconds[index], seconds[0]),
            ratio(kept[index], kept[0]),
        )


def growth(points: Sequence[Point]) -> Iterator[Result]:
    first = points[0].weights
    for point in points:
        case, vector = f"{point.head}, D = {point.weights:,}", 4 * point.weights
        yield Result("growth", case, "parameters", point.parameters)
        yield Result("growth", case, "MB of parameters", 4e-6 * point.parameters)
        yield Result("growth", case, "vectors held beyond the parameters", point.held / vector)
        yield Result("growth", case, "vectors resident beyond the parameters", point.resident / vector)
        per_weight = first / point.weights
        yield Result("growth", case, f"time a weight, of D = {first:,}'s", point.time * per_weight)
        yield Result("growth", case, "the same, memory kept", point.time_kept * per_weight)


def slopes(points: Sequence[Point]) -> Iterator[Result]:
    for head, start in itertools.product(SIZES, LINEAR_FROM):
        large = [point for point in points if point.head == head and point.weights > 0.9 * start]
        if len(large) < 3:
            continue
        sizes = np.log([point.weights for point in large])
        for measure, values, bar in (
            ("of memory held", [point.held for point in large], "<= 1.05"),
            ("of time", [point.time for point in large], ""),
            ("of time, memory kept", [point.time_kept for point in large], "<= 1.1"),
        ):
            slope = float(np.polyfit(sizes, np.log(values), 1)[0])
            yield Result("slope", f"{head}, D >= {start:,}", measure, slope, bar)


def every_head(turns: int) -> Iterator[Result]:
    seconds = dict(zip(HEADS, alone(_seconds, [(head, HEADS_AT) for head in HEADS], turns), strict=True))
    for head in HEADS:
        hypernetwork, step = step_of(head, HEADS_AT)
        case, count = f"{head}, D = {hypernetwork.size:,}", parameters_of(hypernetwork)
        yield Result("heads", case, "parameters", count)
        yield Result("heads", case, "parameters of D", count / hypernetwork.size)
        held = allocated(step) / (4 * hypernetwork.size)
        yield Result("heads", case, "vectors held beyond the parameters", held)
        yield Result("heads", case, "time, of the dense head's", ratio(seconds[head], seconds["dense"]))


def with_environment(variables: dict[str, str], function: Callable[..., T], *arguments: object) -> T:
    """A function's result in a process of its own that starts with these variables set."""
    os.environ.update(variables)
    try:
        return alone(function, *arguments)
    finally:
        for name in variables:
            del os.environ[name]


def _seconds(cases: Sequence[Case], turns: int) -> list[list[float]]:
    torch.set_num_threads(1)
    return in_turns(turns, *(step_of(head, size)[1] for head, size in cases))


def _resident(head: str, size: int) -> float:
    torch.set_num_threads(1)
    step_of(head, 1000)[1]()  # what is loaded and made at the first step
    _, step = step_of(head, size)
    return 2**20 * _peak(lambda: [step() for _ in range(3)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
