"""Theano's linkers, which made functions of graphs without the passes of ``theano.function``."""

from __future__ import annotations

from typing import Any

import symc
from symc.compat.overwriting import OverwritingFunction, overwritten
from symc.graph import Constant

__all__ = [
    "CLinker",
    "DualLinker",
    "LocalLinker",
    "Linker",
    "OpWiseCLinker",
    "PerformLinker",
    "VM_Linker",
    "WrapLinker",
]


class Linker:
    """``PerformLinker().accept(FunctionGraph(inputs, outputs)).make_function()`` compiles a graph as it is written."""

    name_in_mode = "py"

    def __init__(self, *ignored: Any, **also: Any) -> None:
        self.fgraph: Any = None

    def accept(self, fgraph: Any, no_recycling: Any = (), profile: Any = None) -> Linker:
        """Keep the graph to compile."""
        self.fgraph = fgraph
        return self

    def clone(self, allow_gc: Any = None) -> Linker:
        """A linker of this kind without a graph."""
        return type(self)()

    def make_function(self, unpack_single: bool = True, **ignored: Any) -> Any:
        """The compiled graph: a function of arrays, which returns one alone, or a list."""
        if self.fgraph is None:
            raise ValueError(f"{type(self).__name__}: call accept with a graph first")
        inputs = [v for v in self.fgraph.inputs if not isinstance(v, Constant)]
        outputs = list(self.fgraph.outputs)
        stored, single = overwritten(inputs, outputs), len(outputs) == 1 and unpack_single
        if stored:
            wanted = [*outputs, *(v for _, v in stored)]
            both = symc.function(inputs, wanted, mode="no_rewrite", on_unused_input="ignore")
            return OverwritingFunction(both, [k for k, _ in stored], single)
        return symc.function(inputs, outputs[0] if single else outputs, mode="no_rewrite", on_unused_input="ignore")


class PerformLinker(Linker):
    """Theano's linker of NumPy functions."""


class CLinker(Linker):
    """Theano's linker of C code."""

    name_in_mode = "c"


class OpWiseCLinker(CLinker):
    """Theano's linker of one piece of C code per op."""


class DualLinker(CLinker):
    """Theano's linker that compared both."""


class VM_Linker(CLinker):  # noqa: N801 - Theano's name
    """Theano's linker of lazy programs; arguments, such as a callback after each op, have no effect."""


LocalLinker = WrapLinker = Linker
