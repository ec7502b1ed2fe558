"""The templates: one environment for the page, its Markdown twin and the plots."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bayeshyper.plain import plain
from bayeshyper.report.drawing import palette

FOLDER = Path(__file__).with_name("templates")


def escape_markdown(text: Any) -> str:
    r"""Escapes what Markdown, and the HTML inside it, would read as markup.

    Example:
        >>> escape_markdown("a|b <script> *c*")
        'a\\|b &lt;script&gt; \\*c\\*'
    """
    plain = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", plain).replace("\r", " ").replace("\n", " ")


def render(template: str, **values: Any) -> str:
    """Fills a template; a name that it uses and nobody gave is an error."""
    return _environment().get_template(template).render(palette=palette, **values)


def _visible(value: Any) -> Any:
    return plain(value) if type(value) is str else value  # not what is markup already


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html", "svg"]),
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    return environment
