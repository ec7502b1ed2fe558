"""posteriordb's posteriors as Pyro models, each with draws of it that others made (Magnusson et al. 2025).

A model takes no arguments and computes in float64. Its sites are named as the reference's parameters and have
no batch dimensions (vectors are events, and so are the data), so ``max_plate_nesting`` is 0 and any dimension
put in front, such as that of vectorised particles, is broadcast. Densities lack constants that depend on no
parameter. `priors` has the vocabulary; the models stand by kind; `catalogue` lists them.
"""

from .catalogue import POSTERIORS, posterior
from .reference import Posterior

__all__ = ["POSTERIORS", "Posterior", "posterior"]
