"""Lowering of unfused applications: library calls, and explicit statements of a record."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import numpy as np

from symc.compiler.fusion import is_dim
from symc.compiler.fusion.groups import is_one
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.iteration import weight
from symc.compiler.lowering.scatter_parts import in_parts
from symc.compiler.target import CPU, Target
from symc.errors import ShapeError, located
from symc.graph import Apply, Constant, Variable, dims, toposort
from symc.graph.op import HostCall, LibraryCall, Loops
from symc.loops.calls import CALLS
from symc.loops.expr import Expr, call, const, index, minimum, var
from symc.loops.ir import Call, For, Host, Let, Load, Ref, Statement, Step, Store
from symc.loops.routines import suffix

COPIED = 4096
"""The number of elements per iteration of the parallel loop of a copy."""


class LoopContext:
    """The interface with which a record's ``Loops`` builds its statements.

    ``input(k)`` and ``output(k)`` name the buffers, ``size(dim)`` converts a dim to an expression, ``flat(v, index)`` a
    multi-index to a position in ``v``, ``fresh()`` creates a name. ``in_place`` states that the output reuses the
    memory of the record's ``in_place`` input, which then need not be copied; ``placed`` are the inputs that are in
    their places in the output already. ``machine`` describes the target.
    """

    def __init__(
        self,
        node: Apply,
        builder: KernelBuilder,
        in_place: bool,
        new_status: Callable[[], Ref],
        messages: list[str],
        placed: Container[int] = (),
        machine: Target = CPU,
        new: Callable[[str, Sequence[dims.Dim]], Ref | None] = lambda dtype, shape: None,
    ) -> None:
        self.node = node
        self.new = new
        self.machine = machine
        self.builder = builder
        self.in_place = in_place
        self.new_status = new_status
        self.messages = messages
        self.placed = placed

    def input(self, k: int) -> str:
        """The name of the buffer of input ``k``."""
        return self.builder.reads(self.node.inputs[k])

    def output(self, k: int = 0) -> str:
        """The name of the buffer of output ``k``."""
        return self.builder.writing(self.node.outputs[k])

    def size(self, dim: dims.Dim) -> Expr:
        """Convert a dim to an index expression."""
        return self.builder.size(dim)

    def flat(self, v: Variable, position: Sequence[Expr]) -> Expr:
        """Convert a multi-index into ``v`` to a position in its buffer."""
        return self.builder.flat(v.type.shape, position)

    def fresh(self, prefix: str = "t") -> str:
        """An unused name."""
        return self.builder.fresh(prefix)

    def load(self, body: list[Statement], k: int, position: Sequence[Expr]) -> Expr:
        """Add a load of input ``k`` at a multi-index to ``body``; returns the element."""
        v = self.node.inputs[k]
        if isinstance(v, Constant) and v.data.size == 1:
            return const(v.data.reshape(())[()], v.dtype)
        if is_dim(v):
            assert v.owner is not None
            return self.size(v.owner.op["dim"])
        name = self.fresh("x")
        body.append(Load(name, self.input(k), self.flat(v, position), v.dtype))
        return var(name, v.dtype)

    def load_output(self, body: list[Statement], position: Sequence[Expr]) -> Expr:
        """Add a load of a previously stored element of the output to ``body``; returns the element."""
        out = self.node.outputs[0]
        name = self.fresh("x")
        body.append(Load(name, self.output(), self.flat(out, position), out.dtype))
        return var(name, out.dtype)

    def copy(self, k: int) -> list[Statement]:
        """Statements that copy input ``k`` to the output, unless the output has its memory."""
        if self.in_place or k in self.placed:
            return []
        v = self.node.inputs[k]
        total = self.size(dims.product(v.type.shape))
        x = self.fresh("x")
        source, target = self.input(k), self.output()
        return [self.blocks(total, lambda at: [Load(x, source, at, v.dtype), Store(target, at, var(x, v.dtype))])]

    def blocks(self, total: Expr, make: Callable[[Expr], list[Statement]]) -> For:
        """Create a loop over ``total`` elements, in blocks; ``make(i)`` returns what it does with element ``i``."""
        o, i = self.fresh("o"), self.fresh("i")
        return self._blocks(o, i, total, make(var(o) * COPIED + var(i)))

    def _blocks(self, o: str, i: str, total: Expr, body: Sequence[Statement]) -> For:
        """Create a loop over blocks, numbered ``o``, of ``total`` elements, of which ``body`` does number ``i``."""
        block = For(i, minimum(total - var(o) * COPIED, index(COPIED)), tuple(body), "simd")
        blocks = call("floordiv", total + (COPIED - 1), index(COPIED))
        return For(o, blocks, (block,), "parallel", index(COPIED))

    def tables(self, dtype: str, shape: Sequence[dims.Dim]) -> str | None:
        """The name of new memory; None if its size will not be known when memory is allocated."""
        ref = self.new(dtype, shape)
        return None if ref is None else self.builder.buffer(ref, dtype, True)

    def in_parts(self, loop: For, rows: dims.Dim, each: dims.Dim) -> list[Statement]:
        """Statements that add what ``loop`` over ``rows`` adds to the output, ``each`` terms per row, in parts."""
        return in_parts(self, loop, rows, each)

    def work(self, values: Sequence[Variable]) -> int:
        """Estimated scalar operations per element of values that a loop computes from the operands of its op."""
        return 1 + sum(weight(node) for node in toposort(values))

    def status(self) -> str:
        """The buffer in which a step reports an error: store ``code(message)`` at 0."""
        return self.builder.buffer(self.new_status(), "int64", True)

    def code(self, message: str) -> Expr:
        """The status number of ``message``."""
        self.messages.append(message)
        return index(len(self.messages))

    def nest(
        self,
        shape: Sequence[dims.Dim],
        body: Callable[[list[Expr], list[Statement]], None],
        kind: str = "parallel",
        simd: bool = False,
        before: Callable[[list[Expr], list[Statement]], None] | None = None,
    ) -> Statement:
        """Create loops over ``shape``; ``body(index, statements)`` fills the innermost loop.

        All axes share one loop of ``kind``; with ``simd``, the last axis is a simd loop inside it, and
        ``before(index, statements)`` adds what precedes that loop in every row. A single row is divided into blocks.
        Axes of length 1 at the end are left out, so that a column has lanes along its elements.
        """
        if simd and kind == "parallel" and before is None and len(shape) > 1 and is_one(shape[-1]):
            return self.nest(shape[:-1], lambda at, inside: body([*at, index(0)], inside), kind, simd)
        inside: list[Statement] = []
        rows, last = (shape[:-1], shape[-1]) if simd and shape else (shape, None)
        if last is not None and kind == "parallel" and before is None and all(map(is_one, rows)):
            o, i = self.fresh("o"), self.fresh("i")
            body([*(index(0) for _ in rows), var(o) * COPIED + var(i)], inside)
            return self._blocks(o, i, self.size(last), inside)
        counter = self.fresh("o")
        lets, position = self.spread(rows, var(counter))
        first: list[Statement] = []
        if before is not None:
            before(position, first)
        if last is None:
            body(position, inside)
            statements = (*lets, *inside)
        else:
            name = self.fresh("i")
            body([*position, var(name)], inside)
            inner = For(name, self.size(last), tuple(inside), "simd")
            if not rows and not first:
                return inner
            statements = (*lets, *first, inner)
        work = None if last is None else self.size(last)
        return For(counter, self.size(dims.product(rows)), statements, kind if rows else "serial", work)

    def planes(
        self,
        shape: Sequence[dims.Dim],
        inner: Sequence[int],
        body: Callable[[list[Expr], list[Statement]], None],
        kind: str = "serial",
        before: Callable[[list[Expr], list[Statement]], None] | None = None,
        rows: bool = False,
    ) -> list[Statement]:
        """Create a parallel loop over all axes but the ``inner`` ones, around loops of this ``kind`` over these.

        ``body(index, statements)`` fills the innermost loop. With ``rows``, the last axis is a simd loop inside of all
        others, and ``before`` adds what precedes it.
        """
        inside: list[Statement] = []
        last = [len(shape) - 1] if rows else []
        outer = [k for k in range(len(shape)) if k not in inner and k not in last]
        counter, names = self.fresh("o"), [self.fresh("i") for _ in (*inner, *last)]
        lets, position = self.spread([shape[k] for k in outer], var(counter))
        at = dict(zip(outer, position)) | dict(zip((*inner, *last), map(var, names)))
        here = [at[k] for k in range(len(shape))]
        first: list[Statement] = []
        if before is not None:
            before(here[:-1], first)
        body(here, inside)
        for k in last:
            inside = [*first, For(names.pop(), self.size(shape[k]), tuple(inside), "simd")]
        for name, k in zip(reversed(names), reversed(inner)):
            inside = [For(name, self.size(shape[k]), tuple(inside), kind)]
        if not outer:
            return inside
        work = self.size(dims.product(shape[k] for k in (*inner, *last)))
        return [For(counter, self.size(dims.product(shape[k] for k in outer)), (*lets, *inside), "parallel", work)]

    def spread(self, shape: Sequence[dims.Dim], counter: Expr) -> tuple[list[Let], list[Expr]]:
        """Compute the position on each axis from one counter over all of them; returns definitions and their names."""
        lets: list[Let] = []

        def name(e: Expr) -> Expr:
            made = self.fresh("p")
            lets.append(Let(made, e))
            return var(made)

        position: list[Expr] = []
        for k, dim in reversed(list(enumerate(shape))):
            if k == 0:
                position.append(counter)
            else:
                position.append(name(call("mod", counter, self.size(dim))))
                counter = name(call("floordiv", counter, self.size(dim)))
        return lets, position[::-1]


def library_call(node: Apply, builder: KernelBuilder) -> tuple[Call, Expr]:
    """The statement of a library call, and the number of operations that it takes."""
    lower = node.op.record.lower
    assert isinstance(lower, LibraryCall)
    buffers = [builder.writing(v) for v in node.outputs] + [builder.reads(v) for v in node.inputs]
    params = tuple(builder.size(p) for p in lower.params(node))
    name = f"{lower.name}_{suffix(node.outputs[0].dtype)}"
    return Call(name, tuple(buffers), params), CALLS[lower.name].flops(*params)


def lower_single(
    node: Apply,
    ref_of: Callable[[Variable], Ref],
    in_place: bool,
    new_status: Callable[[], Ref],
    messages: list[str],
    placed: Container[int] = (),
    machine: Target = CPU,
    new: Callable[[str, Sequence[dims.Dim]], Ref | None] = lambda dtype, shape: None,
) -> list[Step | Host]:
    """Create the steps of an unfused application; a view has none, nor has an op that finds its inputs ``placed``."""
    lower = node.op.record.lower
    builder = KernelBuilder(node.op.name, ref_of)
    locations = [node.outputs[0].location]
    sizes = [(v.dtype, dims.product(v.type.shape)) for v in (*node.inputs, *node.outputs)]
    if isinstance(lower, LibraryCall):
        statement, builder.flops = library_call(node, builder)
        return [builder.step([statement], locations, sizes)]
    if isinstance(lower, HostCall):
        return [_host_call(node, lower, ref_of)]
    if isinstance(lower, Loops):
        context = LoopContext(node, builder, in_place, new_status, messages, placed, machine, new)
        statements = list(lower.build(node, context))
        if placed or in_place:
            moved = [v for k, v in enumerate(node.inputs) if k not in placed and not (in_place and k == lower.in_place)]
            sizes = [(v.dtype, dims.mul(2, dims.product(v.type.shape))) for v in moved]
        return [builder.step(statements, locations, sizes)] if statements or not placed else []
    return []


def _host_call(node: Apply, lower: HostCall, ref_of: Callable[[Variable], Ref]) -> Host:
    op = node.op
    location = node.outputs[0].location
    name, operands = (op.name, node.inputs) if lower.told is None else lower.told(op, node.inputs)

    def callback(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray]) -> None:
        try:
            found = op.evaluate(inputs) if lower.call is None else lower.call(op, *inputs)
            results = found if isinstance(found, (tuple, list)) else (found,)
            for k, (out, result) in enumerate(zip(outputs, results, strict=True)):
                if np.shape(result) != out.shape:
                    raise ShapeError(f"output {k} has shape {np.shape(result)}, its type says {out.shape}")
                out[...] = result
        except Exception as problem:
            raise _told(problem, located(f"{name}: {problem}", operands, location=location)) from problem

    variables = (*node.outputs, *node.inputs)
    return Host(
        op.name,
        callback,
        tuple(map(ref_of, variables)),
        len(node.outputs),
        tuple(v.type.shape for v in variables),
        tuple(v.dtype for v in variables),
        (location,) if location else (),
        None if lower.native is None else lower.native(node),
    )


def _told(problem: Exception, text: str) -> Exception:
    """Create an exception of the same type with a longer message, or add a note if that is impossible."""
    try:
        made = type(problem)(text)
        if str(made) == text:
            return made
    except Exception:  # noqa: S110 (any constructor may raise)
        pass
    problem.add_note(text)
    return problem
