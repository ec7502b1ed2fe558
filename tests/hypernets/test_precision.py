from __future__ import annotations

import pytest
import torch

from bayeshyper.hypernets.precision import precision_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("block", [7, 17, 18])
def test_the_precision_and_its_gradient_are_autograds(
    dtype: torch.dtype, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayeshyper.hypernets.precision.BLOCK", block)
    noise = (torch.rand(2, 9, dtype=dtype) + 1e-4).requires_grad_()
    above = torch.randn(2, 9, dtype=torch.float64)
    ours, plain = precision_of(noise), noise.double().pow(-2)
    assert torch.equal(ours, plain)
    slopes = [torch.autograd.grad((one * above).sum(), noise)[0] for one in (ours, plain)]
    assert slopes[0].dtype == dtype
    if block >= 18:
        assert torch.equal(*slopes)
    else:  # where a block ends decides which of two ways a power is computed in
        torch.testing.assert_close(*slopes, rtol=1e-6 if dtype == torch.float32 else 1e-14, atol=0.0)


def test_a_view_that_is_not_contiguous_has_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """… as of noise that is one for each tensor, given to all of its weights."""
    monkeypatch.setattr("bayeshyper.hypernets.precision.BLOCK", 5)
    per_tensor = torch.rand(3, 1, dtype=torch.float64, requires_grad=True)
    noise = per_tensor.expand(3, 4).mT
    above = torch.randn(4, 3, dtype=torch.float64)
    slopes = [
        torch.autograd.grad((one * above).sum(), per_tensor)[0]
        for one in (precision_of(noise), noise.pow(-2))
    ]
    torch.testing.assert_close(*slopes, rtol=1e-14, atol=0.0)


def test_the_noise_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayeshyper.hypernets.precision.BLOCK", 4)
    noise = torch.rand(5, dtype=torch.float64)
    before = noise.clone()
    precision_of(noise)
    assert torch.equal(noise, before)
