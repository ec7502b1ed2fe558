"""The application: its commands, and how whatever goes wrong reaches a person."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from bayeshyper.cli import compare, demo, docs, fit, recipes, use
from bayeshyper.cli.console import complain
from bayeshyper.cli.filters import use_named_filters
from bayeshyper.cli.signals import Terminated, raising_terminated
from bayeshyper.errors import BayeshyperError, BayeshyperWarning
from bayeshyper.version import __version__

__all__ = ["app", "main"]

BAD_INPUT = 2
INTERRUPTED, TERMINATED = 130, 143  # as shells have it: 128 + SIGINT, and + SIGTERM


class Commands(TyperGroup):
    """Turns errors that a person can mend into one sentence; all others are bugs and keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with warnings.catch_warnings(), raising_terminated():
            use_named_filters()
            warnings.showwarning = _WarningsOnce()
            try:
                return super().invoke(ctx)
            except (BayeshyperError, BayeshyperWarning) as error:  # a warning where filters make it an error
                complain("Error", str(error))
            except BrokenPipeError:
                raise  # whoever read the output has seen enough
            except OSError as error:
                system = error.strerror and f"{error.filename or 'A file'}: {error.strerror}."
                complain("Error", system or str(error))
            except Terminated as terminated:
                complain("Terminated", str(terminated) or "nothing was written.")
                raise typer.Exit(TERMINATED) from None
            except KeyboardInterrupt as interrupt:
                complain("Interrupted", str(interrupt) or "nothing was written.")
                raise typer.Exit(INTERRUPTED) from None
            raise typer.Exit(BAD_INPUT)


class _WarningsOnce:
    """Shows what bayeshyper's own warnings say once in a command, however many models meet it.

    Which of them, Python's own filters say: ``PYTHONWARNINGS=ignore::bayeshyper.ExtrapolationWarning``.
    """

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, BayeshyperWarning):
            sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
        elif str(message) not in self._said:
            self._said.add(str(message))
            complain("Warning", str(message))


app = typer.Typer(
    cls=Commands,
    help="Predictions with honest uncertainty, from a Bayesian neural network whose posterior is a "
    "hypernetwork.\n\nStart with `bayeshyper demo`, or with a table of your own: "
    "`bayeshyper fit houses.csv --target price`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayeshyper {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that belong to no command."""


app.command("fit")(fit.fit)
app.command("predict")(use.predict)
app.command("sample")(use.sample)
app.command("report")(use.report)
app.command("compare")(compare.compare)
app.command("demo")(demo.demo)
app.command("recipes")(recipes.recipes)
app.command("docs")(docs.docs)


def main() -> None:
    """Run the command line.

    With one thread, unless OMP_NUM_THREADS says otherwise: a step's matrices are small, and threads that wait
    for each other cost more than they save (on a busy machine of two cores, nine times as much).
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    app()
