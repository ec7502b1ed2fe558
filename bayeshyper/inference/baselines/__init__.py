"""What a hypernetwork posterior is compared with: MAP, deep ensembles, MC dropout and Laplace.

All have the target network, prior and likelihood of the hypernetwork's own `BayesianModel`, and end in weight
draws that one `PredictiveDistribution` serves.
"""

from .dropout import dropout_scores, masked_draws
from .laplace import Laplace
from .linearized import LinearizedTarget
from .methods import BASELINES, Baseline, BaselineFit, Problem, check_model
from .points import hold_out, train_points, with_unit_noise

__all__ = [
    "BASELINES",
    "Baseline",
    "BaselineFit",
    "Laplace",
    "LinearizedTarget",
    "Problem",
    "check_model",
    "dropout_scores",
    "hold_out",
    "masked_draws",
    "train_points",
    "with_unit_noise",
]
