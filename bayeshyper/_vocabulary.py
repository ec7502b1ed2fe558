"""The keys that a recipe may have, read off the signatures of the classes that it sets up."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import numbers
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, Unpack, get_args, get_origin

__all__ = [
    "DEFAULTS",
    "Kind",
    "check_types",
    "choices",
    "expected",
    "fits",
    "leaves",
    "unknown",
    "vocabulary",
]

Kind = Literal["models", "inference"]

# What a recipe that leaves these out means.
DEFAULTS = {
    "target.network": "mlp",
    "prior.family": "fan-in",
    "likelihood.family": "auto",
    "entropy": "linearized",
    "hypernetwork.head": "dense",
}


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values: ``{"kl": {"anneal": 0.3}}`` gives ``("kl.anneal", 0.3)``."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def choices(kind: Kind) -> dict[str, Any]:
    """The keys that say which class a table of a recipe sets up."""
    # Here and below: imported when first needed, so that `bayeshyper --help` need not wait for torch.
    if kind == "inference":
        from bayeshyper.inference import ENTROPIES, OBJECTIVES

        return {"entropy": Literal[tuple(ENTROPIES)], "objective": Literal[tuple(OBJECTIVES)]}
    from bayeshyper.hypernets import HEADS
    from bayeshyper.models import LIKELIHOODS, NETWORKS, PRIORS

    return {
        "hypernetwork.head": Literal[tuple(HEADS)],
        "target.network": Literal[tuple(NETWORKS)],
        "prior.family": Literal[tuple(PRIORS)],
        "likelihood.family": Literal[("auto", *LIKELIHOODS)],
    }


def vocabulary(kind: Kind, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key → type hint, for the classes that a recipe has chosen."""
    if kind == "inference":
        from bayeshyper.inference import ENTROPIES, SVISettings

        known = {**_fields(SVISettings), **choices(kind)}
        del known["entropy_options"]  # a table, whose keys are those of the estimator chosen
        estimator = ENTROPIES.get(str(chosen.get("entropy", DEFAULTS["entropy"])))
        options = {} if estimator is None else _arguments(estimator)
        return known | {f"entropy_options.{key}": hint for key, hint in options.items()}
    from bayeshyper.hypernets import HEADS, HypernetworkSettings, head_options
    from bayeshyper.models import LIKELIHOODS, NETWORKS, PRIORS

    choice = {**DEFAULTS, **chosen}
    classes: dict[str, type | None] = {
        "target": NETWORKS.get(str(choice["target.network"])),
        "prior": PRIORS.get(str(choice["prior.family"])),
        "likelihood": LIKELIHOODS.get(str(choice["likelihood.family"])),
    }
    tables = {table: _arguments(cls) for table, cls in classes.items() if cls is not None}
    head = str(choice["hypernetwork.head"])
    tables["hypernetwork"] = _fields(HypernetworkSettings) | (head_options(head) if head in HEADS else {})
    del tables["hypernetwork"]["head"]  # whose choices are known better than its type
    del tables["hypernetwork"]["options"]  # in a recipe they stand in the table itself
    keys: dict[str, Any] = {
        "inference": str,
        "target.bayesian": Sequence[str],
        "target.pretrained": str,
        **choices(kind),
    }
    return keys | {f"{table}.{key}": hint for table, inner in tables.items() for key, hint in inner.items()}


def _arguments(cls: type) -> dict[str, Any]:
    """The arguments a recipe may set: those with a default. The others come from the data."""
    parameters = inspect.signature(cls, eval_str=True).parameters.values()
    keys = {p.name: p.annotation for p in parameters if p.default is not p.empty}
    for p in parameters:
        if get_origin(p.annotation) is Unpack:  # **options: Unpack[SomeTypedDict]
            keys |= typing.get_type_hints(get_args(p.annotation)[0])
    return keys


def _fields(settings: type) -> dict[str, Any]:
    """The fields of a settings dataclass; a field that is a dataclass itself is a table."""
    keys: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(settings).items():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            keys |= {f"{name}.{key}": inner for key, inner in _fields(hint).items()}
        else:
            keys[name] = hint
    return keys


def unknown(key: str, known: Mapping[str, Any]) -> str:
    """One sentence that names the nearest key, whether or not its table was given."""
    inside = [name for name in known if name.startswith(f"{key}.")]
    if inside:
        return f"{key} is a table, not a value; its keys are {', '.join(inside)}."
    if heads := _heads_with(key):
        return f"Unknown key {key} for this head; hypernetwork.head = {' or '.join(heads)} has it."
    nearest = difflib.get_close_matches(key, known, n=1)
    by_leaf = {name.split(".")[-1]: name for name in reversed(list(known))}
    nearest = nearest or [
        by_leaf[leaf] for leaf in difflib.get_close_matches(key.split(".")[-1], by_leaf, n=1)
    ]
    if nearest:
        return f"Unknown key {key}; the nearest is {nearest[0]}."
    return f"Unknown key {key}, expected one of {', '.join(known)}."


def _heads_with(key: str) -> list[str]:
    """The heads that a key of the table ``[hypernetwork]`` is an option of."""
    from bayeshyper.hypernets import HEADS, head_options

    table, _, leaf = key.partition(".")
    return [head for head in HEADS if table == "hypernetwork" and leaf in head_options(head)]


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the hinted type; a whole number passes for a number."""
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is not None and issubclass(origin, Sequence):
        return isinstance(value, (list, tuple)) and all(fits(item, get_args(hint)[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, origin) and all(fits(item, get_args(hint)[1]) for item in value.values())
    if origin is not None:
        return isinstance(value, origin)
    if hint in (int, float):
        number = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, hint)


def check_types(record: Any) -> None:
    """Hold the fields of a dataclass against its annotations.

    Raises:
        ValueError: One is of another type.
    """
    hints = typing.get_type_hints(type(record))
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if not fits(value, hints[field.name]):
            raise ValueError(f"Got {field.name} = {str(value)[:40]}, expected {expected(hints[field.name])}.")


def expected(hint: Any) -> str:
    """The hinted type, in words."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not types.NoneType]
        return " or ".join(expected(option) for option in options if get_origin(option) is not Mapping)
    if origin is Literal:
        words = ", ".join(str(option) for option in get_args(hint))
        return f"one of {words}" if len(get_args(hint)) > 1 else words
    if origin is not None and issubclass(origin, Sequence):
        return f"a list, each item {expected(get_args(hint)[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))
