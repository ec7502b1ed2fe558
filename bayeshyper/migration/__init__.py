"""Files of earlier versions, read as what a file of the newest would hold; writers know only that one."""

from .ensembles import ensemble_1
from .models import model_1

__all__ = ["ensemble_1", "model_1"]
