"""Products for all steps of a loop, such as those of a recurrent network's inputs, that may run in the steps.

A product whose rows are read by one loop over independent rows, each of them in one step, may run before the loop or
in its steps. Before the loop it has many rows. In the steps, each thread multiplies its own rows and finds the results
in its cache, and those of all steps are never stored. Which is faster depends on the numbers of rows and threads: the
program contains both, and each call decides (``product_in_steps`` in ``symc.loops.calls``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symc.compiler.lowering.program import ProgramBuilder, used
from symc.compiler.lowering.row_forms import RowForm, row_form
from symc.graph import dims
from symc.loops.calls import CALLS
from symc.loops.expr import Expr, index, var
from symc.loops.ir import Branch, Call, Host, Kernel, Loop, Node, Ref, Rows, Step, roots, walk

__all__ = ["with_sunk_products"]

LEAST_ROWS = 24
"""The least number of rows per thread; it is also in the run-time library."""


def with_sunk_products(nodes: Sequence[Node], builder: ProgramBuilder) -> list[Node]:
    """The nodes of a program, in which products that may run in the steps of a loop are in both places."""
    found = list(nodes)
    if not any(isinstance(n, Loop) and n.rows is not None for n in found):
        return found
    memory = roots(builder.buffers)
    uses = Counter(k for node in walk(found) for k in set(used(node)))
    for step in nodes:
        product = _product_of(step, builder, memory)
        if product is None:
            continue
        at = found.index(product.step)
        to = next((k for k in range(at + 1, len(found)) if product.out in _all_used([found[k]])), at)
        loop = found[to]
        if not isinstance(loop, Loop) or loop.rows is None or loop.until is not None:
            continue
        if sum(product.out in used(n) for n in loop.body) + 1 != uses[product.out]:
            continue
        sunk = product.sunk(loop, loop.rows)
        if sunk is not None and not _is_disturbed(product, found[at + 1 : to + 1], memory):
            found[at : to + 1] = [*found[at + 1 : to], *_choice(product, loop, loop.rows, sunk, builder)]
    return found


def _all_used(nodes: Sequence[Node]) -> set[int]:
    return {k for node in walk(nodes) for k in used(node)}


def _is_disturbed(product: _Product, nodes: Sequence[Node], memory: Mapping[int, int]) -> bool:
    """Whether nodes between a product and the end of the loop write to its operands."""
    operands = {memory.get(k, k) for k in product.step.buffers if k != product.out}
    steps = [n for n in walk(nodes) if isinstance(n, (Step, Host))]
    return any(memory.get(k, k) in operands for n in steps for k in n.writes)


@dataclass(eq=False)
class _Product:
    """A step whose kernel is a product of matrices with as many rows as its output."""

    step: Step
    form: RowForm
    params: dict[str, Expr]
    out: int

    @property
    def pitch(self) -> int:
        """The distance of two rows of the output."""
        return next(self.form.access[k].stride for k, ref in enumerate(self.step.refs) if ref.buffer == self.out)

    def _stride(self, k: int) -> dims.Dim:
        """The distance of two rows of buffer ``k``; 0 where all rows read the same."""
        if k in self.form.lengths:
            return self.dim(self.form.lengths[k])
        return self.form.access[k].stride if k in self.form.access else 0

    def dim(self, e: Expr) -> dims.Dim:
        """A parameter of the call, or the number of rows, as a dim."""
        return int(e.value) if e.op == "const" else self.step.dims[int(e.value[1:])]

    def sunk(self, loop: Loop, rows: Rows) -> Loop | None:
        """The loop with the product of each step in it; None if its steps do not read the rows of all steps in turn."""
        if not dims.equal(dims.mul(loop.count, rows.count), self.dim(self.form.extent)):
            return None
        starts = [self._start(n, k, rows) for n in loop.body for k in self._readings(n)]
        start = starts[0]
        if start is None or not all(s is not None and dims.equal(s, start) for s in starts):
            return None
        own = dims.mul(rows.first, self.pitch)
        refs = []
        for k, ref in enumerate(self.step.refs):
            stride = self._stride(k)
            moved = dims.add(ref.offset, dims.mul(dims.add(start, rows.first), stride)) if stride != 0 else ref.offset
            refs.append(Ref(self.out, own) if ref.buffer == self.out else Ref(ref.buffer, moved))
        count = dims.sub(rows.last, rows.first)
        body: list[Node] = [replace(self.step, kernel=self._resized(), refs=tuple(refs), dims=(*self.step.dims, count))]
        for n in loop.body:
            assert isinstance(n, Step)
            body.append(replace(n, refs=tuple(Ref(self.out, own) if r.buffer == self.out else r for r in n.refs)))
        return replace(loop, body=tuple(body))

    def _resized(self) -> Kernel:
        """The kernel for any number of rows, with the costs of these."""
        (call,) = self.form.resized.body
        assert isinstance(call, Call)
        m, n, k = (dict(zip(CALLS["gemm"].params, call.params))[p] for p in "MNK")
        moved = (m * n + m * k + k * n) * np.dtype(self.form.resized.buffers[0]).itemsize
        flops = CALLS["gemm"].flops(*call.params)
        return replace(self.form.resized, flops=flops, bytes=moved, elements={})

    def _readings(self, node: Node) -> list[int]:
        return [k for k, ref in enumerate(node.refs) if ref.buffer == self.out] if isinstance(node, Step) else []

    def _start(self, node: Node, k: int, rows: Rows) -> dims.Dim | None:
        """The first row of the output that an iteration's rows are, if a step's buffer ``k`` is read so."""
        assert isinstance(node, Step)
        form = row_form(node.kernel)
        access = None if form is None else form.access.get(k)
        if form is None or access is None or k in node.kernel.writes or access.low is None or access.high is None:
            return None
        if access.stride <= 0 or self.pitch % access.stride:
            return None
        many = self.pitch // access.stride
        ranged = dims.mul(dims.sub(rows.last, rows.first), many)
        if form.extent.op != "var" or not dims.equal(node.dims[int(form.extent.value[1:])], ranged):
            return None
        if access.low < 0 or access.high + (many - 1) * access.stride >= self.pitch:
            return None
        before = dims.sub(node.refs[k].offset, dims.mul(rows.first, self.pitch))
        start = dims.floordiv(before, self.pitch)
        if dims.symbols_of(start) & {rows.first, rows.last} or not dims.equal(dims.mul(start, self.pitch), before):
            return None
        return start


def _product_of(node: Node, builder: ProgramBuilder, memory: Mapping[int, int]) -> _Product | None:
    """The product that a node of a program is, if nothing else is in the memory of its output."""
    call = node.kernel.body[0] if isinstance(node, Step) and node.kernel.body else None
    if not isinstance(node, Step) or not isinstance(call, Call) or not call.name.startswith("gemm_"):
        return None
    number = int(call.buffers[0][1:])
    out = node.refs[number].buffer
    if node.writes != (out,) or out in memory or out in memory.values() or builder.buffers[out].role != "temp":
        return None
    form = row_form(node.kernel, epilogues=True)
    if form is None or node.refs[number].offset != 0 or builder.buffers[out].dynamic:
        return None
    return _Product(node, form, dict(zip(CALLS["gemm"].params, call.params)), out)


def _choice(product: _Product, loop: Loop, rows: Rows, sunk: Loop, builder: ProgramBuilder) -> list[Node]:
    """Nodes that run the product in the steps of the loop or before them."""
    itemsize = np.dtype(builder.buffers[product.out].dtype).itemsize
    sizes = (rows.count, loop.count, *(product.dim(product.params[p]) for p in ("N", "K")), itemsize)
    if type(rows.count) is int and rows.count < LEAST_ROWS:
        return [product.step, loop]
    condition = Ref(builder.buffer("product in steps", "bool", (), "temp"))
    params = tuple(var(f"n{k}") for k in range(len(sizes)))
    decide = Call("product_in_steps_u8", ("b0",), params)
    kernel = Kernel("product in steps", ("bool",), frozenset([0]), len(sizes), (decide,), index(0), index(0))
    return [
        Step(kernel, (condition,), sizes, product.step.locations),
        Branch(condition, (sunk,), (product.step, loop)),
    ]
