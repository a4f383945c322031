"""``scan`` and what belongs to it, under Theano's module name."""

from symc.scan_module import scan_utils
from symc.tensor.folds import foldl, foldr, map, reduce
from symc.tensor.scan import scan
from symc.tensor.scan_arguments import until
from symc.tensor.scan_checkpoints import scan_checkpoints

__all__ = ["foldl", "foldr", "map", "reduce", "scan", "scan_checkpoints", "scan_utils", "until"]
