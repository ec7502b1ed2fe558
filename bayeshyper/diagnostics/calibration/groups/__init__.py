"""Where is the model wrong? Calibration inside each group of rows that the columns of a table make.

`grouping` deals the rows into groups, `evidence` says what was stated and observed in each, `familywise` what
chance alone gives so many of them, `miscalibration` judges them, `sources` finds those that explain others,
and `table` holds the answer.
"""

from __future__ import annotations

from bayeshyper.diagnostics.calibration.groups.miscalibration import miscalibration_by_group
from bayeshyper.diagnostics.calibration.groups.table import Group, GroupTable

__all__ = ["Group", "GroupTable", "miscalibration_by_group"]
