"""Names of the buffers, dims and values of one kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.loops.expr import ZERO, Expr, index, maximum, var
from symc.loops.ir import Kernel, Ref, Statement, Step


class KernelBuilder:
    """Collector of the buffers ``b0..``, dims ``n0..`` and values ``t0..`` of one kernel."""

    def __init__(self, name: str, ref_of: Callable[[Variable], Ref]) -> None:
        self.name = name
        self.ref_of = ref_of
        self.refs: list[Ref] = []
        self.dtypes: list[str] = []
        self.writes: set[int] = set()
        self.dims: list[dims.Dim] = []
        self._counter = 0
        self.flops: Expr = ZERO
        self.elements: dict[int, Expr] = {}
        self.sizes: dict[int, Expr] = {}

    def fresh(self, prefix: str = "t") -> str:
        """An unused name."""
        self._counter += 1
        return f"{prefix}{self._counter}"

    def buffer(self, ref: Ref, dtype: str, write: bool = False) -> str:
        """The local name of the memory at ``ref``."""
        if ref not in self.refs:
            self.refs.append(ref)
            self.dtypes.append(dtype)
        k = self.refs.index(ref)
        if write:
            self.writes.add(k)
        return f"b{k}"

    def reads(self, v: Variable) -> str:
        """The name of the buffer of ``v``, to be read."""
        return self.buffer(self.ref_of(v), v.dtype)

    def reads_anywhere(self, v: Variable) -> str:
        """The name of the buffer of ``v``, to be read at computed positions."""
        name = self.reads(v)
        k, size = self.number_of(v), self.size(dims.product(v.type.shape))
        self.sizes[k] = maximum(self.sizes[k], size) if k in self.sizes and not size.same(self.sizes[k]) else size
        return name

    def writing(self, v: Variable) -> str:
        """The name of the buffer of ``v``, to be written."""
        return self.buffer(self.ref_of(v), v.dtype, True)

    def number_of(self, v: Variable) -> int:
        """The number of the buffer of ``v``, or -1 if the kernel does not use it."""
        ref = self.ref_of(v)
        return self.refs.index(ref) if ref in self.refs else -1

    def size(self, dim: dims.Dim) -> Expr:
        """Convert a dim to an index expression."""
        if type(dim) is int:
            return index(dim)
        if dim not in self.dims:
            self.dims.append(dim)
        return var(f"n{self.dims.index(dim)}")

    def flat(self, shape: Sequence[dims.Dim], position: Sequence[Expr]) -> Expr:
        """The flat (row-major) position of a multi-index."""
        flat = ZERO
        for dim, i in zip(shape, position):
            flat = flat * self.size(dim) + i
        return flat

    def step(
        self, body: Iterable[Statement], locations: Iterable[Any] = (), sizes: Sequence[tuple[str, dims.Dim]] = ()
    ) -> Step:
        """Create a step of the kernel with this body; ``sizes`` are the arrays it moves, as (dtype, elements)."""
        total = ZERO
        for dtype, count in sizes:
            total = total + self.size(count) * np.dtype(dtype).itemsize
        kernel = Kernel(
            self.name, tuple(self.dtypes), frozenset(self.writes), len(self.dims), tuple(body), self.flops, total,
            self.elements, self.sizes,
        )  # fmt: skip
        return Step(kernel, tuple(self.refs), tuple(self.dims), tuple(dict.fromkeys(t for t in locations if t)))
