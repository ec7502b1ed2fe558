"""Many latents: a deep exponential family of gammas, and a Bayesian network of five layers."""

from __future__ import annotations

import itertools
from functools import partial

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoDiagonalNormal, init_to_feasible
from pyro.nn import PyroModule, PyroSample
from pyro.optim import AdagradRMSProp, Adam
from sklearn.datasets import load_digits
from torch import Tensor, nn

from .kind import PublicExample, generator

TOP, MIDDLE, BOTTOM, PIXELS = 10, 6, 4, 64


def gammas(x: Tensor) -> None:
    """Counts from three layers of sparse gammas (Ranganath et al. 2015), with gamma weights between them."""

    def weights(name: str, rows: int, columns: int) -> Tensor:
        with pyro.plate(f"w_{name}_plate", rows * columns):
            drawn: Tensor = pyro.sample(f"w_{name}", dist.Gamma(0.1, 0.3))
        return drawn.reshape(rows, columns)

    top, middle, bottom = (
        weights("top", TOP, MIDDLE),
        weights("mid", MIDDLE, BOTTOM),
        weights("bottom", BOTTOM, PIXELS),
    )
    with pyro.plate("data", len(x)):
        z_top = pyro.sample("z_top", dist.Gamma(0.1, 0.1).expand([TOP]).to_event(1))
        z_mid = pyro.sample("z_mid", dist.Gamma(0.1, 0.1 / (z_top @ top)).to_event(1))
        z_bottom = pyro.sample("z_bottom", dist.Gamma(0.1, 0.1 / (z_mid @ middle)).to_event(1))
        pyro.sample("obs", dist.Poisson(z_bottom @ bottom).to_event(1), obs=x)


def gamma_factors() -> PublicExample:
    """The file's model on 40 of scikit-learn's 8 × 8 digits, with a tenth of its widths.

    The file trains with ``TraceMeanField_ELBO``, which drops the Jacobians of its own guide: its ELBO has no
    upper bound. Both guides are trained with ``Trace_ELBO`` here, for half of its steps.
    """
    digits = torch.from_numpy(load_digits().data[:40]).float()
    return PublicExample(
        "pyro-ppl/pyro examples/sparse_gamma_def.py",
        gammas,
        (digits,),
        partial(AutoDiagonalNormal, init_loc_fn=init_to_feasible),
        lambda: AdagradRMSProp({"eta": 0.2, "t": 0.05}),
        steps=1001,
        vectorized=False,
    )


class DeepNetwork(PyroModule):
    """Five hidden layers of ten tanh units; all weights are random, and so is the noise."""

    def __init__(self, width: int = 10, hidden: int = 5, prior_scale: float = 5.0) -> None:
        super().__init__()
        sizes = [1, *[width] * hidden, 1]
        self.layers = PyroModule[nn.ModuleList](
            [PyroModule[nn.Linear](i, o) for i, o in itertools.pairwise(sizes)]
        )
        for layer, (i, o) in zip(self.layers, itertools.pairwise(sizes), strict=True):
            scale = prior_scale * (2 / i) ** 0.5
            layer.weight = PyroSample(dist.Normal(0.0, scale).expand([o, i]).to_event(2))
            layer.bias = PyroSample(dist.Normal(0.0, prior_scale).expand([o]).to_event(1))

    def forward(self, x: Tensor, y: Tensor) -> None:
        """Observe y, ``(N,)``."""
        h = x
        for layer in list(self.layers)[:-1]:
            h = layer(h).tanh()
        mean = list(self.layers)[-1](h).squeeze(-1)
        sigma = pyro.sample("sigma", dist.Gamma(0.5, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Normal(mean, sigma**2), obs=y)


def deep_network() -> PublicExample:
    """A noisy curve with a gap; the file takes 25 000 steps, here it is 5 000."""
    x = torch.cat([torch.linspace(-0.2, 0.2, 500), torch.linspace(0.6, 1.0, 500)])
    noise = 0.02 * torch.randn(1000, generator=generator())
    shaken = x + noise
    y = x + 0.3 * (2 * torch.pi * shaken).sin() + 0.3 * (4 * torch.pi * shaken).sin() + noise
    return PublicExample(
        "phlippe/uvadlc_notebooks DL2/Bayesian_Neural_Networks/dl2_bnn_tut1_students_with_answers.ipynb",
        DeepNetwork(),
        (x.unsqueeze(-1), y),
        AutoDiagonalNormal,
        lambda: Adam({"lr": 0.01}),
        steps=5000,
        vectorized=False,
    )
