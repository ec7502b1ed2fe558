from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bayeshyper.inference.roots import cholesky_root, counted

DTYPES = (torch.float32, torch.float64)


def spectrum(values: list[float], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """A symmetric matrix with these eigenvalues."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(len(values), len(values), generator=generator, dtype=torch.float64)
    basis, _ = torch.linalg.qr(square)
    matrix = (basis * torch.tensor(values, dtype=torch.float64)) @ basis.mT
    return (0.5 * (matrix + matrix.mT)).to(dtype)


@given(st.lists(st.floats(1e-2, 1e2), min_size=1, max_size=6), st.sampled_from(DTYPES))
def test_what_is_positive_definite_is_left_alone(values: list[float], dtype: torch.dtype) -> None:
    matrix = spectrum(values, dtype)
    with counted() as recoveries:
        assert torch.equal(cholesky_root(matrix), torch.linalg.cholesky(matrix))
    assert recoveries.count == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_rounding_made_indefinite_is_recovered_within_rounding(dtype: torch.dtype) -> None:
    rounding = torch.finfo(dtype).eps
    for scale in (1e-12, 1.0, 1e12):
        matrix = scale * spectrum([3.0, 1.0, -20 * rounding], dtype)
        with counted() as recoveries:
            root = cholesky_root(matrix)
        assert recoveries.count == 1
        error = (root @ root.mT - matrix).abs().max() / matrix.abs().max()
        # Ten times a jitter that was too small, and that was less than what the matrix lacks.
        assert error < 10 * 20 * rounding + 20 * rounding


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_indefinite_for_other_reasons_or_not_finite_has_no_finite_root(dtype: torch.dtype) -> None:
    bad = spectrum([3.0, 1.0, -0.1], dtype)
    infinite, nan = torch.eye(3, dtype=dtype), torch.eye(3, dtype=dtype)
    infinite[1, 1], nan[2, 0] = torch.inf, torch.nan
    with counted() as recoveries:
        for matrix in (bad, infinite, nan):
            assert not bool(cholesky_root(matrix).diagonal().isfinite().all())
    assert recoveries.count == 0


def test_each_matrix_of_a_batch_is_on_its_own() -> None:
    good, singular = spectrum([1.0, 2.0], torch.float64), torch.ones(2, 2, dtype=torch.float64)
    batch = torch.stack([good, singular, -good]).reshape(3, 1, 2, 2)
    with counted() as recoveries:
        root = cholesky_root(batch)
    assert recoveries.count == 1
    assert torch.equal(root[0, 0], torch.linalg.cholesky(good))
    torch.testing.assert_close(root[1, 0] @ root[1, 0].mT, singular, rtol=0.0, atol=1e-13)
    assert bool(root[2].isnan().all())


def test_gradients_go_through_a_recovery() -> None:
    matrix = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    cholesky_root(matrix)[0, 0].backward()
    assert matrix.grad is not None
    assert matrix.grad[0, 0].item() == pytest.approx(0.5)  # d√w/dw at 1


def test_threads_count_for_themselves() -> None:
    def work() -> None:
        cholesky_root(torch.ones(2, 2))

    with counted() as recoveries:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert recoveries.count == 0
        work()
    assert recoveries.count == 1
