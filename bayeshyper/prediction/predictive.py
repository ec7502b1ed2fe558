"""The predictive distribution: what the weight draws together say about new rows."""

from __future__ import annotations

import copy
import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.errors import DataError
from bayeshyper.memory import check_answers
from bayeshyper.models import BayesianModel, ColumnOf

from .draws import DrawsByRows
from .labels import encode_labels
from .mixture import class_probabilities, entropy, mixed_cdf, quantile

__all__ = ["PredictiveDistribution"]

Array = NDArray[np.float64]


class PredictiveDistribution:
    """An equal mixture over weight draws of the likelihood's distribution, row by row.

    Everything is computed when asked for, in chunks of rows and draws, in float64: memory does not grow
    with either, and a row's numbers do not depend on the rows beside it. All results are NumPy arrays in
    the target's own units.

    Args:
        model: Network and likelihood, in float64.
        weights: ``(S, D)``.
        x: Encoded rows ``(N, …)``.
        loc: What the model's zero is in the target's units (regression); ``(K,)`` for K columns.
        scale: What the model's one is in them; likewise.
        classes: Labels, in the order of the class indices (classification).

    Attributes:
        task: ``"regression"`` or ``"classification"``.
        discrete: Whether the targets are counts, whose quantiles are whole numbers.

    Targets of K columns have one more dimension K, after the rows: ``mean (N, K)``, ``quantiles (N, K, L)``,
    ``sample (n, N, K)``. The mean, spread, ``cdf`` and quantiles are each column's own; ``log_prob`` and
    ``sample`` are of all columns together.

    Example:
        >>> from bayeshyper.models import FanInPrior, Gaussian, MLP, Target
        >>> model = BayesianModel(Target(MLP(3, 1)), FanInPrior(), Gaussian(), num_data=10).double()
        >>> draws = 0.1 * torch.randn(50, model.spec.size, dtype=torch.float64)
        >>> predictive = PredictiveDistribution(model, draws, torch.zeros(4, 3, dtype=torch.float64))
        >>> predictive.mean.shape, predictive.quantiles([0.05, 0.5, 0.95]).shape
        ((4,), (4, 3))
        >>> bool(np.allclose(predictive.std**2, predictive.aleatoric**2 + predictive.epistemic**2))
        True
    """

    def __init__(
        self,
        model: BayesianModel,
        weights: Tensor,
        x: Tensor,
        *,
        loc: float | Array = 0.0,
        scale: float | Array = 1.0,
        classes: NDArray[np.generic] | None = None,
    ) -> None:
        if len(weights) < 1:
            raise ValueError("Got no weight draws, expected at least one.")
        self.task = model.likelihood.task
        self.discrete = self.task == "regression" and model.likelihood.support.discrete
        self.classes = classes
        self._likelihood = model.likelihood
        self._rows = DrawsByRows(model, weights, x)
        self._loc, self._scale = loc, scale

    @property
    def n_rows(self) -> int:
        """N."""
        return self._rows.n_rows

    @property
    def n_draws(self) -> int:
        """S."""
        return self._rows.n_draws

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper end of what a target can be (regression)."""
        return self._likelihood.support.lower, self._likelihood.support.upper

    def __len__(self) -> int:
        return self.n_rows

    # -- regression -------------------------------------------------------------------------------------

    @cached_property
    def _moments(self) -> tuple[Array, Array, Array]:
        """Mean, and the standard deviations within and between draws, each ``(N,)`` (law of total variance).

        In the target's units only after the root: the square of a small unit would be 0.
        """
        self._require("regression", "mean, std, aleatoric and epistemic")

        def moments(part: Distribution) -> Array:
            mean, within = part.mean.numpy(), part.variance.numpy()
            return np.stack([mean.mean(0), within.mean(0), mean.var(0)], axis=1)

        mean, within, between = np.moveaxis(self._rows.apply(moments), 1, 0)
        return self._loc + self._scale * mean, self._scale * np.sqrt(within), self._scale * np.sqrt(between)

    @property
    def mean(self) -> Array:
        """Predictive mean, ``(N,)``."""
        return self._moments[0]

    @property
    def std(self) -> Array:
        """Predictive standard deviation, ``(N,)``: √(aleatoric² + epistemic²)."""
        std: Array = np.hypot(self._moments[1], self._moments[2])
        return std

    @property
    def aleatoric(self) -> Array:
        """Standard deviation from noise in the data, ``(N,)``: what more data would leave."""
        return self._moments[1]

    @property
    def epistemic(self) -> Array:
        """Standard deviation from not knowing the weights, ``(N,)``: what more data would shrink."""
        return self._moments[2]

    def cdf(self, y: ArrayLike) -> Array:
        """P(target ≤ y) under the mixture, ``(N,)``: at the observed target this is the PIT."""
        self._require("regression", "cdf")
        standard = self._standardize(y)
        return self._rows.apply(lambda part, value: mixed_cdf(self._marginals(part), value), standard)

    def quantiles(self, levels: ArrayLike) -> Array:
        """Quantiles of the mixture, ``(N, L)`` for L levels strictly between 0 and 1.

        A count's is the smallest whole number that is not exceeded with that probability or more.
        """
        self._require("regression", "quantiles")
        wanted = np.atleast_1d(np.asarray(levels, dtype=np.float64))
        if wanted.ndim != 1 or not bool(((wanted > 0) & (wanted < 1)).all()):
            raise ValueError(
                f"Got levels {levels!r}, expected numbers strictly between 0 and 1, like [0.05, 0.95]."
            )

        def solve(part: Distribution) -> Array:
            each = self._marginals(part)
            found = [quantile(each, level, self._likelihood.support) for level in wanted]
            return np.stack(found, axis=-1)

        loc, scale = (np.asarray(number)[..., None] for number in (self._loc, self._scale))
        return loc + scale * self._rows.apply(solve, width=len(wanted))

    def interval(self, level: float = 0.9) -> Array:
        """The central interval that holds ``level`` of the probability (a count's: at least), ``(N, 2)``."""
        if not 0 < level < 1:
            raise ValueError(f"Got level = {level}, expected a share strictly between 0 and 1, like 0.9.")
        return self.quantiles([(1 - level) / 2, (1 + level) / 2])

    def column(self, index: int) -> PredictiveDistribution:
        """The prediction of one of K columns alone, whatever the others are; counted from 0."""
        shape = self._likelihood.event_shape
        if not shape or not 0 <= index < shape[0]:
            raise ValueError(f"Got the column {index}, expected one of {math.prod(shape)}, counted from 0.")
        model, weights, x = copy.copy(self._rows.model), self._rows.weights, self._rows.x
        model.likelihood = ColumnOf(self._likelihood, index)
        loc, scale = (float(np.broadcast_to(number, shape)[index]) for number in (self._loc, self._scale))
        return PredictiveDistribution(model, weights, x, loc=loc, scale=scale)

    # -- classification ---------------------------------------------------------------------------------

    @cached_property
    def _probabilities(self) -> tuple[Array, Array]:
        """Class probabilities ``(N, C)`` and the mean entropy of the draws' own probabilities ``(N,)``."""
        self._require("classification", "probs, entropy and mutual_information")

        def average(part: Distribution) -> Array:
            probs = class_probabilities(part)
            return np.concatenate([probs.mean(0), entropy(probs).mean(0)[:, None]], axis=1)

        both = self._rows.apply(average)
        return both[:, :-1], both[:, -1]

    @property
    def probs(self) -> Array:
        """Class probabilities, ``(N, C)``, columns in the order of ``classes``."""
        return self._probabilities[0]

    @property
    def entropy(self) -> Array:
        """Entropy of the predicted class, ``(N,)``, in nats: the total uncertainty."""
        return entropy(self.probs)

    @property
    def aleatoric_entropy(self) -> Array:
        """Mean entropy of the draws' own predictions, ``(N,)``, in nats."""
        return self._probabilities[1]

    @property
    def mutual_information(self) -> Array:
        """What the class would tell about the weights, ``(N,)``, in nats: total minus aleatoric entropy."""
        return np.maximum(self.entropy - self.aleatoric_entropy, 0.0)

    # -- both -------------------------------------------------------------------------------------------

    def log_prob(self, y: ArrayLike) -> Array:
        """Log predictive density (or probability of the label or count) of the observed targets, ``(N,)``.

        Raises:
            DataError: A target that the likelihood does not allow, or a class that it has not seen.
        """

        def mix(part: Distribution, value: Array) -> Array:
            scores: Array = logsumexp(part.log_prob(torch.from_numpy(value)).numpy(), axis=0)
            return scores[:, None]

        scores = self._rows.apply(mix, self._targets(y))[:, 0]
        return scores - float(np.log(self.n_draws)) - self._log_unit

    def log_likelihood(self, y: ArrayLike) -> Array:
        """log p(y_n | x_n, θ_s) for every draw, ``(S, N)``: what ArviZ's LOO needs.

        Raises:
            DataError: As `log_prob`.
            TooLarge: They need more memory than is free.
        """
        check_answers(self.n_draws, self.n_rows)

        def score(part: Distribution, value: Array) -> Array:
            scores: Array = part.log_prob(torch.from_numpy(value)).numpy().T
            return scores

        return self._rows.apply(score, self._targets(y), width=self.n_draws).T - self._log_unit

    def functions(self) -> Array:
        """The network's outputs for every draw, ``(S, N)`` or ``(S, N, C)``.

        Those of a standardised regression with one output per number are in the target's units.

        Raises:
            TooLarge: They need more memory than is free.
        """
        width = self._likelihood.n_outputs
        check_answers(self.n_draws, self.n_rows, width=width)
        in_units = width == math.prod(self._likelihood.event_shape) and self.task == "regression"
        scale, loc = (self._scale, self._loc) if in_units else (1.0, 0.0)
        outputs = np.empty((self.n_draws, self.n_rows, width))
        with torch.no_grad():
            for rows in self._rows.chunks(8 * self.n_draws * width):
                outputs[:, rows] = self._rows.outputs(rows).numpy() * scale + loc
        return outputs[..., 0] if width == 1 else outputs

    def encode(self, labels: ArrayLike) -> NDArray[np.int64]:
        """Class labels as indices into ``classes``, ``(N,)``; a `DataError` names one that is no class."""
        return encode_labels(labels, self._labels)

    def rows(self, index: Any) -> PredictiveDistribution:
        """The prediction of some of the rows: integers, a slice or a boolean mask, as for an array's rows."""
        chosen = torch.from_numpy(np.atleast_1d(np.arange(self.n_rows)[index]))
        model, weights, x = self._rows.model, self._rows.weights, self._rows.x[chosen]
        return PredictiveDistribution(
            model, weights, x, loc=self._loc, scale=self._scale, classes=self.classes
        )

    def sample(self, n: int = 1000, seed: int = 0) -> NDArray[Any]:
        """Draw n targets for every row, ``(n, N)`` or ``(n, N, K)``: numbers, or class labels.

        Draw i uses the same weights for all rows, so that rows of one draw belong together; the n draws go
        through the weight draws evenly.

        Raises:
            TooLarge: They need more memory than is free.
        """
        if n < 1:
            raise ValueError(f"Got n = {n}, expected at least 1.")
        check_answers(n, self.n_rows, width=math.prod(self._likelihood.event_shape))
        drawn = self._rows.sample(n, seed)
        if self.task == "regression":
            return self._loc + self._scale * drawn
        return self._labels[drawn.astype(np.intp)]

    # -- machinery --------------------------------------------------------------------------------------

    @property
    def _labels(self) -> NDArray[np.generic]:
        return np.arange(self._likelihood.n_classes) if self.classes is None else self.classes

    def _require(self, task: str, what: str) -> None:
        if self.task != task:
            raise AttributeError(f"{what} belong to {task}; this predictive distribution is for {self.task}.")

    @property
    def _log_unit(self) -> float:
        """log |dy/d(standardised y)|, which densities in the target's own units lose."""
        return float(np.log(self._scale).sum()) if self.task == "regression" else 0.0

    def _targets(self, y: ArrayLike) -> NDArray[np.generic]:
        """What the likelihood scores: numbers in the units that it sees, or class indices."""
        if self.task == "regression":
            standard = self._standardize(y)
            self._likelihood.check_target(torch.tensor(np.asarray(y, dtype=np.float64)))  # in its own units
            return standard
        self._check_length(np.asarray(y))
        # Bernoulli scores floats, Categorical indices, Ordinal either.
        return self.encode(y).astype(np.float64 if self._likelihood.n_outputs == 1 else np.int64)

    def _standardize(self, y: ArrayLike) -> Array:
        values = np.asarray(y, dtype=np.float64)
        self._check_length(values)
        return (values - self._loc) / self._scale

    def _check_length(self, y: NDArray[np.generic]) -> None:
        expected = (self.n_rows, *self._likelihood.event_shape)
        if y.shape != expected:
            raise DataError(f"Got targets of shape {y.shape}, expected {expected}: one per row of X.")

    def _marginals(self, part: Distribution) -> Distribution:
        """The distribution of each column alone, batch shape ``(S, rows, …)``."""
        return self._likelihood.marginals(part)
