"""What a fit maximises: objectives, by the names that inference recipes give them."""

from bayeshyper.inference.entropies import options_of

from .alpha import BlackBoxAlpha
from .elbo import Elbo, ElboTerms, elbo_terms
from .objective import Objective, Terms
from .weighted import ImportanceWeighted, Renyi, WeightedTerms

__all__ = [
    "OBJECTIVES",
    "BlackBoxAlpha",
    "Elbo",
    "ElboTerms",
    "ImportanceWeighted",
    "Objective",
    "Renyi",
    "Terms",
    "WeightedTerms",
    "elbo_terms",
    "make_objective",
]

OBJECTIVES: dict[str, type[Objective]] = {
    "elbo": Elbo,
    "bb-alpha": BlackBoxAlpha,
    "renyi": Renyi,
    "importance-weighted": ImportanceWeighted,
}


def make_objective(name: str, alpha: float) -> Objective:
    """The objective of a name; α goes to those that have one.

    Raises:
        ValueError: No such objective, or an α that it has no meaning for.

    Example:
        >>> make_objective("renyi", 0.25)
        Renyi(alpha=0.25)
    """
    if name not in OBJECTIVES:
        raise ValueError(f"Got objective {name!r}, expected one of {', '.join(OBJECTIVES)}.")
    kind = OBJECTIVES[name]
    return kind(**{option: alpha for option in options_of(kind)})
