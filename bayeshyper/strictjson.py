"""JSON that can be read in one way only, with the floats that it has no words for."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["read_json", "to_json"]

DEEPEST = 64
# Infinity and NaN, which JSON cannot say, as an object of this one key.
NUMBER = "$number"
WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
# Every string, also one that never ends: what opens like one is never looked at twice.
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
STEP = np.zeros(256, dtype=np.int8)
STEP[list(b"[{")] = 1
STEP[list(b"]}")] = -1


def to_json(value: Any) -> str:
    """A value as JSON, in ASCII, that `read_json` reads back as it was.

    Raises:
        TypeError: It holds what is no JSON: other objects, or keys that are not text.
        ValueError: It holds what `read_json` refuses.

    Example:
        >>> to_json({"loss": [0.5, float("inf")]})
        '{"loss": [0.5, {"$number": "inf"}]}'
    """
    text = json.dumps(_spelled(value), allow_nan=False)
    read_json(text.encode())
    return text


def read_json(text: bytes, *, words: bool = False) -> Any:
    """Read JSON of at most 64 levels, whose keys are unique and whose numbers are finite and have 64 bits.

    Args:
        text: In UTF-8.
        words: Whether NaN and Infinity may stand in it as such, as Python writes them.

    Raises:
        ValueError: It is other JSON, or none.

    Example:
        >>> read_json(b'[1, {"$number": "-inf"}]')
        [1, -inf]
        >>> read_json(b'{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ValueError: Got the key 'a' twice, expected it once.
    """
    steps = STEP[np.frombuffer(STRINGS.sub(b"", text), dtype=np.uint8)]
    deepest = int(steps.cumsum(dtype=np.int32).max(initial=0))
    if deepest > DEEPEST:
        raise ValueError(f"Got JSON of {deepest} levels, expected {DEEPEST} at most.")
    return json.loads(
        text.decode("utf-8"),
        object_pairs_hook=_object,
        parse_float=_float,
        parse_int=_integer,
        parse_constant=float if words else _refuse,
    )


def _spelled(value: Any) -> Any:
    """The value with objects for the floats that JSON has no words for, and numpy's numbers as Python's."""
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return {NUMBER: str(float(value))}
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise TypeError(f"Got the key {strange[0]!r}, expected text.")
        if NUMBER in value:
            raise ValueError(
                f"Got the key {NUMBER!r}, expected another: this one stands for infinity and NaN."
            )
        return {key: _spelled(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled(part) for part in value]
    return value


def _object(pairs: list[tuple[str, Any]]) -> Any:
    read = dict(pairs)
    if len(read) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"Got the key {twice[:40]!r} twice, expected it once.")
    if NUMBER in read:
        if len(read) > 1 or read[NUMBER] not in tuple(WORDS):
            raise ValueError(f"Got {str(read)[:40]}, expected one of {', '.join(WORDS)} alone.")
        return WORDS[read[NUMBER]]
    return read


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"Got the number {text[:40]}, expected one that is finite.")
    return value


def _integer(text: str) -> int:
    # Of longer ones not even the value is asked: that takes the square of their length.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"Got the number {text[:40]}, expected one of 64 bits.")
    return int(text)


def _refuse(word: str) -> None:
    raise ValueError(f"Got {word}, expected a number.")
