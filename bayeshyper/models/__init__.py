"""What is learned: target networks, priors, likelihoods, and the Pyro model that joins them."""

from .bayesian import BayesianModel
from .likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    Gaussian,
    HeteroscedasticGaussian,
    Latent,
    Likelihood,
    StudentT,
)
from .local import Conditional
from .networks import MLP, NETWORKS
from .priors import (
    PRIORS,
    FanInPrior,
    FlatHierarchical,
    FlatLocationScale,
    FlatNormal,
    HierarchicalPrior,
    HorseshoePrior,
    LaplacePrior,
    LearnedPrior,
    NormalPrior,
    Prior,
    ScaleMixturePrior,
    StudentTPrior,
)
from .rows import row_gradients
from .spec import WeightPiece, WeightSpec
from .target import Target

__all__ = [
    "LIKELIHOODS",
    "MLP",
    "NETWORKS",
    "PRIORS",
    "BayesianModel",
    "Bernoulli",
    "Categorical",
    "Conditional",
    "FanInPrior",
    "FlatHierarchical",
    "FlatLocationScale",
    "FlatNormal",
    "Gaussian",
    "HeteroscedasticGaussian",
    "HierarchicalPrior",
    "HorseshoePrior",
    "LaplacePrior",
    "Latent",
    "LearnedPrior",
    "Likelihood",
    "NormalPrior",
    "Prior",
    "ScaleMixturePrior",
    "StudentT",
    "StudentTPrior",
    "Target",
    "WeightPiece",
    "WeightSpec",
    "row_gradients",
]
