"""symc: symbolic array expressions, differentiated, rewritten, fused, and compiled to C or CUDA."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from symc import d3viz, printing, scalar, scan_module, sparse, tensor, testing
from symc.config import config
from symc.errors import no_attribute as _no_attribute
from symc.gradient import grad
from symc.graph import Apply, Constant, SharedVariable, Variable
from symc.graph.test_values import enable, get_test_value
from symc.interop import from_sympy, lambdify, to_networkx, to_sympy
from symc.printing import pp, pprint
from symc.runtime.copies import register
from symc.runtime.debug_mode import DebugMode
from symc.runtime.evaluation import attach
from symc.runtime.function import Function, In, Out, function
from symc.runtime.memory_estimate import memory_estimate
from symc.runtime.mode import Mode, get_default_mode, get_mode
from symc.runtime.replacement import clone
from symc.runtime.shared import shared
from symc.runtime.watching import MonitorMode, NanGuardMode
from symc.tensor import dot, scan
from symc.tensor.graph_op import OpFromGraph
from symc.tensor.scans.checkpoints import scan_checkpoints
from symc.tensor.scans.folds import foldl, foldr, map, reduce
from symc.tensor.user_ops.c_op import COp, c_op
from symc.tensor.user_ops.decorated_op import as_op, elementwise_op
from symc.tensor.user_ops.python_op import PythonOp
from symc.tensor.vectorize import vectorize

__version__ = "0.1.0"

Op = PythonOp

attach()
register()
enable()

__all__ = [
    "Apply", "COp", "Constant", "DebugMode", "Function", "In", "Mode", "MonitorMode", "NanGuardMode", "Op",
    "OpFromGraph", "Out", "PythonOp", "SharedVariable", "Variable", "as_op", "c_op", "clone", "config", "d3viz",
    "doctor", "dot", "elementwise_op", "foldl", "foldr", "from_sympy", "function", "get_default_mode", "get_mode",
    "get_test_value", "grad", "ifelse", "lambdify", "map", "memory_estimate", "pp", "pprint", "printing", "reduce",
    "scalar", "scan", "scan_checkpoints", "scan_module", "shared", "sparse", "tensor", "testing", "to_networkx",
    "to_sympy", "vectorize",
]  # fmt: skip

if TYPE_CHECKING:
    from symc.doctor import doctor
    from symc.tensor import ifelse
else:
    from symc import ifelse  # a callable module

    def __getattr__(name: str) -> object:
        if name == "doctor":  # a callable module, loaded on first access
            return importlib.import_module("symc.doctor")
        raise _no_attribute(__name__, name, __all__)
