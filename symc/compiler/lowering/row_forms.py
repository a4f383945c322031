"""Kernels as loops over rows: how far apart rows are in each buffer, and the kernel for any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from symc.loops.calls import CALLS
from symc.loops.expr import Expr, index, minimum, names_in, var
from symc.loops.ir import Accumulate, Alloc, Call, For, If, Kernel, Let, Load, Statement, Store

__all__ = ["Access", "RowForm", "blocks_of_rows", "row_form"]


@dataclass(frozen=True)
class Access:
    """Positions in a buffer: from ``low`` to ``high`` in the first row, ``stride`` more in every further one.

    ``low`` and ``high`` are None where they are unknown.
    """

    stride: int
    low: int | None
    high: int | None

    def joined(self, other: Access) -> Access | None:
        """Both, if their strides are equal."""
        if self.stride != other.stride:
            return None
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return Access(self.stride, None, None)
        return Access(self.stride, min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class RowForm:
    """A kernel as a loop over rows that are independent of each other.

    Attributes
    ----------
    extent : Expr
        The number of rows: a constant, or one of the kernel's dims.
    access : dict
        Maps numbers of buffers to their accesses.
    resized : Kernel
        The kernel with one more dim: the number of rows. It reads no row's number, so that it computes other rows
        where its buffers begin at another row.
    lengths : dict
        Maps numbers of further buffers, which a call reads, to dims of the kernel: how far apart rows are.
    """

    extent: Expr
    access: dict[int, Access]
    resized: Kernel
    lengths: dict[int, Expr] = field(default_factory=dict)


class _Other(Exception):
    """The kernel has another form."""


def row_form(kernel: Kernel, epilogues: bool = False) -> RowForm | None:
    """``kernel`` as a loop over rows; None if it has another form.

    With ``epilogues``, also a call that has one, or whose inputs have rows of lengths that are known at call time.
    """
    try:
        if len(kernel.body) == 1 and isinstance(kernel.body[0], Call):
            return _of_call(kernel, kernel.body[0], epilogues)
        return _of_loops(kernel)
    except _Other:
        return None


def _is_size(e: Expr) -> bool:
    return e.op == "const" or e.op == "var" and e.value[0] == "n" and e.value[1:].isdigit()


def _resized(kernel: Kernel, body: Sequence[Statement]) -> Kernel:
    return replace(kernel, body=tuple(body), dims=kernel.dims + 1)


# --- library calls ----------------------------------------------------------------------------------------------------


def _of_call(kernel: Kernel, s: Call, epilogues: bool) -> RowForm:
    spec = CALLS[s.name.rsplit("_", 1)[0]]
    if spec.rows is None or s.epilogue is not None and not epilogues:
        raise _Other
    params = dict(zip(spec.params, s.params))
    if any(params[name].op != "const" or params[name].value for name in spec.rows.zero):
        raise _Other
    extent = params[spec.rows.size]
    if not _is_size(extent):
        raise _Other
    access: dict[int, Access] = {}
    lengths: dict[int, Expr] = {}
    for name, buffer in zip((*spec.outputs, *spec.inputs), s.buffers):
        stride, length = 0, None
        if name in spec.rows.strides:
            e, width = (params[p] for p in spec.rows.strides[name])
            if epilogues and e.op == "var" and _is_size(e) and name in spec.inputs:
                lengths[int(buffer[1:])] = e
                continue
            if e.op != "const":
                raise _Other
            stride = int(e.value)
            length = int(width.value) if width.op == "const" else None
        made = Access(stride, 0, length - 1) if length is not None else Access(stride, None, None)
        _note(access, buffer, made)
    size = var(f"n{kernel.dims}")
    call = replace(s, params=tuple(size if name == spec.rows.size else p for name, p in params.items()))
    if s.epilogue is not None:
        rows = _Rows(access)
        rows.enter(s.epilogue.row, {})
        rows.visit(s.epilogue.body)
        if not extent.same(s.epilogue.rows):
            raise _Other
        call = replace(call, epilogue=replace(s.epilogue, rows=size))
    if lengths.keys() & access.keys():
        raise _Other
    return RowForm(extent, access, _resized(kernel, [call]), lengths)


def _note(access: dict[int, Access], buffer: str, made: Access) -> None:
    number = int(buffer[1:])
    joined = access[number].joined(made) if number in access else made
    if joined is None:
        raise _Other
    access[number] = joined


# --- loops ------------------------------------------------------------------------------------------------------------


def _of_loops(kernel: Kernel) -> RowForm:
    """One loop over rows, or several over the same rows one after another."""
    size = var(f"n{kernel.dims}")
    rows, extent = _Rows(), None
    body: list[Statement] = []
    for s in _of_any_size(kernel.body):
        if isinstance(s, (Let, Load)):
            rows.visit([s])
            body.append(s)
            continue
        if not isinstance(s, For) or s.kind not in ("parallel", "simd"):
            raise _Other  # memory outside of the loops is for all rows together, such as their sum
        inner = s.body[0] if len(s.body) == 1 and isinstance(s.body[0], For) else None
        blocks = None if inner is None else blocks_of_rows(s, inner)
        if blocks is None or inner is None:
            own = s.extent
            body.append(replace(s, extent=size))
            rows.enter(s.index, {})
            rows.visit(s.body)
        else:  # a loop over blocks of rows around one over the rows of a block
            own, width = blocks
            within = replace(inner, extent=minimum(size - var(s.index) * width, index(width)))
            body.append(replace(s, extent=(size + (width - 1)) // width, body=(within,)))
            rows.enter(inner.index, {s.index: width})
            rows.visit(inner.body)
        if not _is_size(own) or extent is not None and not extent.same(own):
            raise _Other
        extent = own
    if extent is None:
        raise _Other
    return RowForm(extent, rows.access, _resized(kernel, body))


def _of_any_size(body: Sequence[Statement]) -> Sequence[Statement]:
    """The statements for any number of rows: the second of two forms, if the first is only for some sizes."""
    if len(body) < 2:
        return body
    *rest, some, others = body
    if isinstance(some, If) and isinstance(others, If) and others.condition.op == "not":
        return [*rest, *others.body] if others.condition.args[0].same(some.condition) else body
    return body


def blocks_of_rows(loop: For, inner: For) -> tuple[Expr, int] | None:
    """The number of rows, and that of a block, if the two loops go through blocks of rows."""
    if inner.kind != "simd":
        return None
    e = inner.extent
    if e.op == "min" and e.args[1].op == "const" and e.args[0].op == "sub":
        total, width = e.args[0].args[0], int(e.args[1].value)
        if _is_size(total) and e.same(minimum(total - var(loop.index) * width, index(width))):
            return (total, width) if loop.extent.same((total + (width - 1)) // width) else None
    return None


@dataclass(frozen=True)
class _Position:
    """``rows`` times the number of the row, plus a number from ``low`` to ``high``; None where that is unknown."""

    rows: int
    low: int | None
    high: int | None


_UNKNOWN = _Position(0, None, None)


class _Rows:
    """Collects the accesses of a row."""

    def __init__(self, access: dict[int, Access] | None = None) -> None:
        self.access = {} if access is None else access
        self.known: dict[str, _Position] = {}
        self.block: dict[str, int] = {}
        self.index = ""
        self.local: set[str] = set()

    def enter(self, index: str, blocks: dict[str, int]) -> None:
        """Begin a loop over rows, whose numbers are ``index`` plus multiples of the numbers in ``blocks``."""
        self.index, self.block = index, blocks
        self.known[index] = _Position(1, 0, 0)

    def visit(self, body: Sequence[Statement]) -> None:
        for s in body:
            if isinstance(s, Load):
                self._accessed(s.buffer, s.index)
                self.known[s.name] = _UNKNOWN
            elif isinstance(s, Let):
                self.known[s.name] = self._position(s.value)
            elif isinstance(s, (Store, Accumulate)):
                self._accessed(s.buffer, s.index)
                self._plain(s.value)
            elif isinstance(s, If):
                self._plain(s.condition)
                self.visit(s.body)
            elif isinstance(s, For):
                self._plain(s.extent)
                last = int(s.extent.value) - 1 if s.extent.op == "const" else None
                self.known[s.index] = _UNKNOWN if last is None else _Position(0, 0, max(last, 0))
                self.visit(s.body)
            elif isinstance(s, Alloc):
                self._plain(s.size)
                self.local.add(s.name)
            else:
                raise _Other

    def _plain(self, e: Expr) -> None:
        """Raise if ``e`` depends on the number of the row."""
        names = names_in(e)
        if names & self.block.keys() or any(self.known[n].rows for n in names if n in self.known):
            raise _Other

    def _accessed(self, buffer: str, at: Expr) -> None:
        if buffer in self.local:
            self._plain(at)
            return
        place = self._position(at)
        _note(self.access, buffer, Access(place.rows, place.low, place.high))

    def _position(self, e: Expr) -> _Position:
        if e.dtype != "int64":
            self._plain(e)
            return _UNKNOWN
        found, blocks = self._linear(e)
        for name, width in self.block.items():
            if blocks.get(name, 0) != width * found.rows:
                raise _Other
        return found

    def _linear(self, e: Expr) -> tuple[_Position, dict[str, int]]:
        """``e`` as a linear function of the number of the row, and the coefficients of the numbers of blocks."""
        if e.op == "const":
            return _Position(0, int(e.value), int(e.value)), {}
        if e.op == "var":
            if e.value in self.block:
                return _Position(0, 0, 0), {e.value: 1}
            found = self.known.get(e.value, _UNKNOWN)
            return found, {n: w * found.rows for n, w in self.block.items()} if e.value != self.index else {}
        if e.op in ("add", "sub"):
            (a, x), (b, y) = map(self._linear, e.args)
            sign = 1 if e.op == "add" else -1
            low, high = (b.low, b.high) if sign > 0 else (b.high, b.low)
            blocks = {n: x.get(n, 0) + sign * y.get(n, 0) for n in {*x, *y}}
            return _Position(a.rows + sign * b.rows, _sum(a.low, low, sign), _sum(a.high, high, sign)), blocks
        if e.op == "mul":
            for number, other in (e.args, e.args[::-1]):
                if number.op == "const":
                    c, (a, x) = int(number.value), self._linear(other)
                    low, high = (a.low, a.high) if c >= 0 else (a.high, a.low)
                    ends = (None if low is None else c * low, None if high is None else c * high)
                    return _Position(c * a.rows, *ends), {n: c * k for n, k in x.items()}
        self._plain(e)
        return _UNKNOWN, {}


def _sum(a: int | None, b: int | None, sign: int) -> int | None:
    return None if a is None or b is None else a + sign * b
