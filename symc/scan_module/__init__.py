"""``scan`` and what belongs to it, under Theano's module name."""

from symc.scan_module import scan_utils
from symc.tensor.scans.arguments import until
from symc.tensor.scans.checkpoints import scan_checkpoints
from symc.tensor.scans.folds import foldl, foldr, map, reduce
from symc.tensor.scans.scan import scan

__all__ = ["foldl", "foldr", "map", "reduce", "scan", "scan_checkpoints", "scan_utils", "until"]
