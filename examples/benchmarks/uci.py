r"""The UCI regression protocol (Hernández-Lobato & Adams 2015): methods side by side on published splits.

    python examples/benchmarks/uci.py --data concrete energy --splits 0-4 \
        --methods bayeshyper mean-field low-rank deep-ensemble --jobs 2 --out results.csv
    python examples/benchmarks/table.py results.csv

A method is the shipped default (bayeshyper), any model recipe by name or path, or a peer: deep-ensemble,
mc-dropout, laplace, auto-normal, auto-low-rank, auto-iaf (Pyro's guides), nuts (NumPyro's sampler, from the
extra `bench`), gaussian (the training mean and variance). Each peer's file says how it was tuned. Rows are
appended as fits finish; run the same command again and it goes on where it was. The seed of a fit is
1000 · seed + split, so that splits do not share their random numbers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread per fit, whatever --jobs: before numpy is loaded

import numpy as np
import torch
from interface import Array, Predictive, Setup
from methods import PEERS, find
from problems import Problem, load
from results import AUDIT, Job, append, finished, versions

from bayeshyper import HyperRegressor
from bayeshyper.diagnostics import crps, pit_coverage, rmse
from bayeshyper.errors import BayeshyperError, DataError, NotConvergedWarning
from bayeshyper.recipes import parse_override

UCI = Path(__file__).parents[3] / "shared" / "data" / "uci"
CRPS_DRAWS = 1000
METHODS = ["bayeshyper", "mean-field", "low-rank"]


def main(arguments: list[str] | None = None) -> int:
    """Run what is not finished yet; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        jobs = list(plan(options))
        done = finished(options.out)
    except BayeshyperError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    todo = [job for job in jobs if job not in done]
    print(f"{len(jobs)} fits, of which {len(jobs) - len(todo)} are in {options.out} already.", flush=True)
    return run_all(todo, options) if todo else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, _, details = str(__doc__).partition("\n\n")
    made = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--data", nargs="+", required=True, help="folders' names, sklearn:NAME or openml:NAME")
    add("--folder", type=Path, default=UCI if UCI.is_dir() else None, help="where the UCI folders are")
    add("--gap", action="store_true", help="the gap splits of Foong et al. 2019 in place of the random ones")
    add("--splits", default="all", help="as in 0-4 or 0,3,7; all by default")
    add("--methods", nargs="+", default=METHODS, help=f"by default {' '.join(METHODS)}")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change recipes of ours, as in the bayeshyper command",
    )
    add("--seeds", nargs="+", type=int, default=[0], help="repetitions on each split")
    add("--audit", action="store_true", help="also bound the ELBO, where a method has one")
    add(
        "--jobs",
        type=int,
        default=1,
        help="fits at a time, one thread each; more than cores spoil the timings",
    )
    add("--out", type=Path, default=Path("results.csv"))
    return made


def plan(options: argparse.Namespace) -> Iterator[Job]:
    """Every job asked for, split by split, so that an unfinished run still compares like with like.

    Raises:
        BayeshyperError: A data set, split, recipe or setting that does not exist.
    """
    settings = "; ".join(sorted(text.strip() for text in options.set))
    parsed(settings)
    for method in options.methods:
        find(method)
    problems = [loaded(name, options.folder, options.gap) for name in options.data]
    wanted = {problem.name: chosen_splits(options.splits, problem) for problem in problems}
    for split in sorted(set().union(*wanted.values())):
        for problem in problems:
            for seed in options.seeds if split in wanted[problem.name] else ():
                for method in options.methods:
                    yield Job(
                        problem.name,
                        problem.protocol,
                        split,
                        method,
                        "" if method in PEERS else settings,
                        seed,
                    )


def chosen_splits(text: str, problem: Problem) -> list[int]:
    """The splits that ``0-4``, ``0,3,7`` or ``all`` mean for a data set."""
    there = len(problem.splits)
    if text == "all":
        return list(range(there))
    try:
        ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
        chosen = [split for part in ends for split in range(part[0], part[-1] + 1)]
    except ValueError:
        raise DataError(f"Got --splits {text}, expected something like 0-4, 0,3,7 or all.") from None
    if not chosen or max(chosen) >= there:
        raise DataError(f"Got --splits {text}, but {problem.name} has {there}: 0-{there - 1}.")
    return chosen


def run_all(jobs: list[Job], options: argparse.Namespace) -> int:
    """Run jobs in processes of their own, writing each row as it comes; a failed fit costs no other."""
    failed = 0
    context = multiprocessing.get_context("spawn")  # forking a process that has used torch can hang it
    with ProcessPoolExecutor(options.jobs, mp_context=context, initializer=prepare_worker) as pool:
        try:
            waiting = {pool.submit(run, job, options.folder, options.audit): job for job in jobs}
            for count, future in enumerate(as_completed(waiting), start=1):
                job = waiting[future]
                name = f"{job.data}, {job.protocol} split {job.split}, {job.method} {job.settings}".rstrip()
                try:
                    row = future.result()
                except BrokenProcessPool:
                    raise
                except Exception as error:
                    failed += 1
                    print(f"[{count}/{len(jobs)}] {name}: failed", flush=True)
                    traceback.print_exception(error)
                    continue
                append(options.out, row)
                print(
                    f"[{count}/{len(jobs)}] {name}: log likelihood {row['log_likelihood']:.3f}, "
                    f"RMSE {row['rmse']:.4g}, {row['fit_seconds']:.1f} s",
                    flush=True,
                )
        except KeyboardInterrupt:
            print("Interrupted; the same command goes on from here.", file=sys.stderr, flush=True)
            os._exit(130)  # the workers follow (prepare_worker)
    return 1 if failed else 0


def prepare_worker() -> None:
    """One thread; nothing left to load or warm up in the first fit's time; no life after the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    torch.set_num_threads(1)
    rows = np.linspace(-1.0, 1.0, 40).reshape(20, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # it is there to load all that a fit needs
        HyperRegressor(settings={"optimizer.steps": 2}, random_state=0, verbose=False).fit(rows, rows[:, 0])


def run(job: Job, folder: Path | None, audited: bool) -> dict[str, Any]:
    """Fit and score: one row of the results."""
    problem = loaded(job.data, folder, job.protocol == "gap")
    (X, y), (X_test, y_test) = (problem.rows(part) for part in problem.splits[job.split])
    method, setup = find(job.method), Setup(problem.hidden, parsed(job.settings))
    wall, cpu = time.perf_counter(), time.process_time()
    fit = method(X, y, 1000 * job.seed + job.split, setup)
    row = {
        **job._asdict(),
        "fit_seconds": time.perf_counter() - wall,
        "fit_cpu_seconds": time.process_time() - cpu,
        **score(fit.predictive(X_test), y_test),
        "steps": fit.steps,
        "rows_fitted": len(y),
        "rows_scored": len(y_test),
        "rhat": None if fit.rhat is None else fit.rhat(X_test),
        "versions": versions(),
    }
    if audited and fit.audit is not None:
        record = fit.audit().to_dict()
        row |= {name: record[name] for name in (*AUDIT, "flagged")}
    return row


def score(predictive: Predictive, y: Array) -> dict[str, float]:
    """The scores of the protocol, in the target's own units."""
    pit = predictive.cdf(y)
    return {
        "log_likelihood": float(predictive.log_prob(y).mean()),
        "rmse": rmse(predictive.mean, y),
        "crps": crps(predictive.sample(CRPS_DRAWS), y),
        "coverage_50": pit_coverage(pit, 0.5),
        "coverage_90": pit_coverage(pit, 0.9),
    }


def parsed(settings: str) -> dict[str, Any]:
    """The overrides of a job's settings."""
    return dict(parse_override(text) for text in settings.split("; ") if text)


@lru_cache(maxsize=4)
def loaded(name: str, folder: Path | None, gap: bool) -> Problem:
    """A data set, kept for the jobs to come."""
    return load(name, folder, gap=gap)


if __name__ == "__main__":
    sys.exit(main())
