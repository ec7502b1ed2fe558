"""Tables in: files and data sets, checked, and encoded as numbers."""

from bayeshyper.data.datasets import BUNDLED, Split, UCIDataset, load_bundled, load_openml, load_uci
from bayeshyper.data.encoding import TableEncoder
from bayeshyper.data.extent import Extent
from bayeshyper.data.features import as_features
from bayeshyper.data.reading import read_table
from bayeshyper.data.scarcity import copies, few_rows
from bayeshyper.data.tables import align_columns, check_rows, split_target
from bayeshyper.data.targets import TargetScaler, Task, category_order, check_target, infer_task

__all__ = [
    "BUNDLED",
    "Extent",
    "Split",
    "TableEncoder",
    "TargetScaler",
    "Task",
    "UCIDataset",
    "align_columns",
    "as_features",
    "category_order",
    "check_rows",
    "check_target",
    "copies",
    "few_rows",
    "infer_task",
    "load_bundled",
    "load_openml",
    "load_uci",
    "read_table",
    "split_target",
]
