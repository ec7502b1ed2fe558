from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bayeshyper.models import WeightSpec

# 0-D, empty and ordinary tensors alike.
SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=6)
LEADS = st.lists(st.integers(0, 3), max_size=2).map(tuple)


def numbered(shapes: list[tuple[int, ...]]) -> WeightSpec:
    return WeightSpec((f"piece.{i}", shape) for i, shape in enumerate(shapes))


def counted(*shape: int) -> Tensor:
    """A tensor in which every entry is another number, so that a misplaced one is seen."""
    return torch.arange(float(math.prod(shape))).reshape(shape)


@given(SHAPES, LEADS)
def test_unflatten_then_flatten_gives_the_same_vector(
    shapes: list[tuple[int, ...]], lead: tuple[int, ...]
) -> None:
    spec = numbered(shapes)
    flat = counted(*lead, spec.size)
    pieces = spec.unflatten(flat)
    assert [tuple(pieces[f"piece.{i}"].shape) for i in range(len(shapes))] == [lead + s for s in shapes]
    assert torch.equal(spec.flatten(pieces), flat)


@given(SHAPES, LEADS)
def test_flatten_then_unflatten_gives_the_same_tensors(
    shapes: list[tuple[int, ...]], lead: tuple[int, ...]
) -> None:
    spec = numbered(shapes)
    tensors = {piece.name: 10.0 * i + counted(*lead, *piece.shape) for i, piece in enumerate(spec)}
    again = spec.unflatten(spec.flatten(tensors))
    assert list(again) == list(tensors)
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


@given(SHAPES, LEADS)
def test_split_cuts_at_the_pieces(shapes: list[tuple[int, ...]], lead: tuple[int, ...]) -> None:
    spec = numbered(shapes)
    flat = counted(*lead, spec.size)
    parts = spec.split(flat)
    assert len(parts) == len(spec)
    assert all(torch.equal(part, flat[..., piece.slice]) for part, piece in zip(parts, spec, strict=True))


@given(SHAPES, LEADS)
def test_repeat_gives_every_weight_its_tensors_number(
    shapes: list[tuple[int, ...]], lead: tuple[int, ...]
) -> None:
    spec = numbered(shapes)
    numbers = counted(*lead, len(spec))
    repeated = spec.repeat(numbers)
    assert repeated.shape == (*lead, spec.size)
    for index, piece in enumerate(spec):
        assert (repeated[..., piece.slice] == numbers[..., index : index + 1]).all()


@given(SHAPES)
def test_the_pieces_lie_end_to_end(shapes: list[tuple[int, ...]]) -> None:
    spec = numbered(shapes)
    starts = [piece.slice.start for piece in spec]
    stops = [piece.slice.stop for piece in spec]
    assert starts == [0, *stops[:-1]]
    assert stops[-1] == spec.size == sum(math.prod(shape) for shape in shapes)


def test_the_order_of_the_mapping_does_not_matter() -> None:
    spec = WeightSpec([("a", (2,)), ("b", ())])
    assert spec.flatten({"b": torch.tensor(3.0), "a": torch.tensor([1.0, 2.0])}).tolist() == [1.0, 2.0, 3.0]


def test_flatten_ignores_what_the_spec_does_not_name() -> None:
    spec = WeightSpec([("a", (1,))])
    assert spec.flatten({"a": torch.ones(1), "other": torch.ones(5)}).tolist() == [1.0]


def test_unflatten_gives_views_that_carry_gradients() -> None:
    spec = WeightSpec([("a", (2, 2)), ("b", ())])
    flat = torch.zeros(5, requires_grad=True)
    spec.unflatten(flat)["b"].backward()
    assert flat.grad is not None
    assert flat.grad.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_specs_add_up_in_order() -> None:
    both = WeightSpec([("a", (2, 3))]) + WeightSpec([("b", ()), ("c", (4,))])
    assert both.shapes == [("a", (2, 3)), ("b", ()), ("c", (4,))]
    assert both["c"].slice == slice(7, 11)


def test_equal_specs_have_equal_hashes_and_different_ones_differ() -> None:
    one, same = WeightSpec([("a", (2, 3))]), WeightSpec([("a", [2, 3])])
    assert one == same
    assert hash(one) == hash(same)
    assert one != WeightSpec([("a", (3, 2))])
    assert one != WeightSpec([("b", (2, 3))])
    assert WeightSpec([("a", ()), ("b", ())]) != WeightSpec([("b", ()), ("a", ())])


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'weight' twice"):
        WeightSpec([("weight", (2,)), ("weight", (3,))])
    with pytest.raises(ValueError, match="'a' twice"):
        WeightSpec([("a", ())]) + WeightSpec([("a", ())])


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_vector_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"Got {size} weights, expected D = 8"):
        WeightSpec([("a", (2, 4))]).unflatten(torch.zeros(3, size))


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ValueError, match="Got no tensor for 'b'"):
        WeightSpec([("a", ()), ("b", ())]).flatten({"a": torch.tensor(0.0)})


@pytest.mark.parametrize("shape", [(3, 2), (6,), (3,), (), (2, 3, 1)])
def test_a_tensor_of_another_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"'a' of shape .* expected it to end in \(2, 3\)"):
        WeightSpec([("a", (2, 3))]).flatten({"a": torch.zeros(shape)})


def test_its_table_says_names_shapes_and_total() -> None:
    lines = repr(WeightSpec([("weight", (50, 30)), ("bias", (50,))])).splitlines()
    assert lines[0] == "WeightSpec: 1,550 weights in 2 tensors"
    assert lines[1].split() == ["weight", "(50,", "30)", "1,500"]
