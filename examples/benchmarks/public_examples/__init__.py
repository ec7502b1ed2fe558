"""Public Pyro examples that use an autoguide, written anew: their models, optimisers, rates and steps.

Nothing is copied: each names the file that it follows, and does what that file says with code of its own.
Where the public data cannot be had offline, data of the same size is drawn from the same kind of model with
parameters such as the example finds, and its docstring says so.
"""

from .catalogue import EXAMPLES, example
from .kind import PublicExample

__all__ = ["EXAMPLES", "PublicExample", "example"]
