"""symc: symbolic array expressions, differentiated, rewritten, fused, and compiled to C or CUDA."""

from __future__ import annotations

from symc import tensor
from symc.config import config
from symc.function import Function, In, Out, function
from symc.gradient import grad
from symc.graph import Apply, Constant, SharedVariable, Variable
from symc.op import Op
from symc.printing import pprint
from symc.shared import shared
from symc.tensor import dot

__version__ = "0.1.0"

__all__ = [
    "Apply", "Constant", "Function", "In", "Op", "Out", "SharedVariable", "Variable", "config", "dot", "function",
    "grad", "pprint", "shared", "tensor",
]  # fmt: skip
