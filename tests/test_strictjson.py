from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeshyper.strictjson import read_json, to_json

plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "$number"), inner),
)


@given(values)
def test_what_was_written_is_read(value: Any) -> None:
    assert read_json(to_json(value).encode()) == value


@given(values)
def test_what_is_written_is_json_that_anyone_can_read(value: Any) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(to_json(value), parse_constant=refuse)


@given(st.floats())
def test_every_float_comes_back_to_the_bit_but_for_the_kind_of_nan(value: float) -> None:
    (again,) = read_json(to_json([value]).encode())
    assert (
        math.isnan(again) if math.isnan(value) else np.float64(again).tobytes() == np.float64(value).tobytes()
    )


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {None: 1}}, [b"x"], np.datetime64(3, "s")])
def test_what_is_no_json_is_not_written(value: Any) -> None:
    with pytest.raises(TypeError):
        to_json(value)


@pytest.mark.parametrize(
    "value", [np.int64(-3), np.uint64(2**64 - 1), np.float32(0.1), np.float64("inf"), np.bool_(True)]
)
def test_numbers_of_numpy_are_read_back_as_pythons(value: Any) -> None:
    read = read_json(to_json({"a": [value]}).encode())["a"][0]
    assert (type(read), read) == (type(value.tolist()), value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {"$number": "nan"}, {"$number": 1, "a": 2}])
def test_what_would_be_read_as_something_else_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match="Got"):
        to_json(value)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "key 'a' twice"),
        (b'{"x": {"a": 1, "a": 1}}', "key 'a' twice"),
        (b"[NaN]", "Got NaN"),
        (b"[-Infinity]", "Got -Infinity"),
        (b"[1e400]", "finite"),
        (b"[-1e999]", "finite"),
        (b"[18446744073709551616]", "64 bits"),
        (b"[" + b"9" * 100_000 + b"]", "64 bits"),
        (b'{"$number": "NaN"}', "one of nan, inf, -inf"),
        (b'{"$number": ["nan"]}', "one of nan, inf, -inf"),
        (b'{"$number": "inf", "a": 1}', "alone"),
        (nested(65), "65 levels"),
        (nested(100_000), "levels"),
        (b'{"a":' * 100_000, "levels"),
        (b"\xff", "decode"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"{} {}", "Extra data"),
        (b"", "Expecting value"),
        (b'"\\ud', "escape|Unterminated"),
    ],
)
def test_json_of_another_kind_is_refused(text: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_json(text)


@pytest.mark.parametrize(
    "text", [b"[]", nested(64), b'["' + b"[" * 1000 + b'"]', b'["\\"[[' + b"[" * 99 + b'"]']
)
def test_brackets_within_texts_are_no_levels(text: bytes) -> None:
    assert read_json(text) == json.loads(text)


@pytest.mark.parametrize("text", [b'"' * 2**20, b'\\"' * 2**19, b'["' + b'\\"' * 2**19, b'"\\' * 2**19])
def test_quotation_marks_take_linear_time(text: bytes) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match=r"\S"):
        read_json(text)
    assert time.process_time() - before < 2.0  # a second look at each would take hours


def test_words_are_read_where_they_are_allowed() -> None:
    assert read_json(b"[Infinity, -Infinity]", words=True) == [math.inf, -math.inf]
