"""symc: symbolic array expressions, differentiated, rewritten, fused, and compiled to C or CUDA."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from symc import tensor
from symc.config import config
from symc.errors import no_attribute as _no_attribute
from symc.gradient import grad
from symc.graph import Apply, Constant, SharedVariable, Variable
from symc.graph.op import Op
from symc.interop import from_sympy, lambdify, to_networkx, to_sympy
from symc.printing import pp, pprint
from symc.runtime.copies import register
from symc.runtime.evaluation import attach
from symc.runtime.function import Function, In, Out, function
from symc.runtime.memory_estimate import memory_estimate
from symc.runtime.replacement import clone
from symc.runtime.shared import shared
from symc.tensor import dot, ifelse, scan
from symc.tensor.folds import foldl, foldr, map, reduce
from symc.tensor.graph_op import OpFromGraph
from symc.tensor.python_op import PythonOp, as_op

__version__ = "0.1.0"

attach()
register()

__all__ = [
    "Apply", "Constant", "Function", "In", "Op", "OpFromGraph", "Out", "PythonOp", "SharedVariable", "Variable",
    "as_op", "clone", "config", "doctor", "dot", "foldl", "foldr", "from_sympy", "function", "grad", "ifelse",
    "lambdify", "map", "memory_estimate", "pp", "pprint", "reduce", "scan", "shared", "tensor", "to_networkx",
    "to_sympy",
]  # fmt: skip

if TYPE_CHECKING:
    from symc.doctor import doctor
else:

    def __getattr__(name: str) -> object:
        if name == "doctor":  # a callable module, loaded on first access
            return importlib.import_module("symc.doctor")
        raise _no_attribute(__name__, name, __all__)
