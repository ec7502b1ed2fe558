"""Long fits that nothing ends for good: their state in a file, and stages that go on from it."""

from .checkpoint import Checkpoint
from .stages import Stage, Stages, every_step
from .states import AdamState, GlobalRandomState, RandomState, Stateful, digest

__all__ = [
    "AdamState",
    "Checkpoint",
    "GlobalRandomState",
    "RandomState",
    "Stage",
    "Stages",
    "Stateful",
    "digest",
    "every_step",
]
