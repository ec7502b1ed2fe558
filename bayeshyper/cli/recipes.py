"""`bayeshyper recipes`: what --model and --inference can be."""

from __future__ import annotations

from bayeshyper.cli.console import show
from bayeshyper.recipes import describe_recipe, list_recipes

__all__ = ["recipes"]


def recipes() -> None:
    """List the ready-made recipes for --model and --inference."""
    from rich import box
    from rich.table import Table

    for kind, title in (("models", "--model"), ("inference", "--inference")):
        table = Table(title, "", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in list_recipes(kind):  # type: ignore[arg-type]
            table.add_row(name, describe_recipe(kind, name))  # type: ignore[arg-type]
        show(table)
