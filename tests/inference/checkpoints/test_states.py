from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bayeshyper.inference.checkpoints import GlobalRandomState, RandomState, digest
from bayeshyper.inference.checkpoints.states import packed, unpacked
from bayeshyper.strictjson import read_json, to_json
from bayeshyper.threads import seeded

KEYS = st.text(max_size=3) | st.sampled_from(["$tensor", "$tuple", "$items", "$"]) | st.integers(-9, 9)
DTYPES = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)
TENSORS = st.builds(
    lambda shape, dtype: torch.arange(math.prod(shape)).reshape(shape).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(DTYPES),
)
PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5)
STATES = st.recursive(
    PLAIN | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Equal in type and in every bit; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # which tells −0 from 0, and no NaN from another


@given(STATES)
def test_a_state_goes_through_json_and_back(state: Any) -> None:
    tensors: dict[str, Tensor] = {}
    record = read_json(to_json(packed(state, tensors)).encode())
    assert same(unpacked(record, tensors), state)


def test_an_optimiser_goes_through_json_and_back() -> None:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    tensors: dict[str, Tensor] = {}
    record = read_json(to_json(packed(optimizer.state_dict(), tensors)).encode())
    assert same(unpacked(record, tensors), optimizer.state_dict())


def test_what_no_file_can_hold_is_named() -> None:
    with pytest.raises(TypeError, match="Linear"):
        packed({"layer": nn.Linear(1, 1)}, {})


def test_states_put_back_twice_do_not_share_tensors() -> None:
    tensors: dict[str, Tensor] = {}
    record = packed({"a": torch.zeros(2)}, tensors)
    unpacked(record, tensors)["a"].add_(1.0)
    assert torch.equal(unpacked(record, tensors)["a"], torch.zeros(2))


@given(STATES, STATES)
def test_a_digest_tells_states_apart(one: Any, other: Any) -> None:
    assert digest(one) == digest(one)
    assert (digest(one) == digest(other)) == same(one, other)


def test_a_generator_goes_on_where_another_stood() -> None:
    ours, theirs = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    torch.rand(7, generator=theirs)
    RandomState(ours).load_state_dict(RandomState(theirs).state_dict())
    assert torch.equal(torch.rand(5, generator=ours), torch.rand(5, generator=theirs))


def test_the_global_generator_goes_on_where_it_stood() -> None:
    with seeded(0):
        state = GlobalRandomState().state_dict()
        first = torch.rand(3)
        GlobalRandomState().load_state_dict(state)
        assert torch.equal(torch.rand(3), first)
