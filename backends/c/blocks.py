"""Maps of transposed operands, a block of ``LANES`` x ``LANES`` elements at a time.

Along the lanes of such a map, an operand has a stride, and a vector of it touches as many lines of memory as it has
lanes. The operand is contiguous along the loop around it: a block is read row by row and transposed in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from symc.loops.expr import ZERO, Expr, coefficient, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Let, Load, Statement, Store
from symc_backends.c.dialect import CTYPE, LANES, TAG
from symc_backends.c.vector import VectorBody, can_vectorise

__all__ = ["Copy", "copy_of", "emit_blocks", "has_copies"]

MOST = 4
"""The largest number of operands that are transposed."""


def emit_blocks(
    loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], rest: Callable[[], Sequence[str]]
) -> list[str] | None:
    """Generate C lines for a loop around a simd loop over transposed operands; None if it is not of this form.

    ``rest()`` returns the lines of one iteration of the loop, for those that fill no block.
    """
    inner = loop.body[-1] if loop.body else None
    before = loop.body[:-1]
    if not isinstance(inner, For) or inner.kind != "simd" or not can_vectorise(inner):
        return None
    if not all(isinstance(s, Let) for s in before) or any(isinstance(s, Accumulate) for s in inner.body):
        return None
    turned = _turned(loop, before, inner)
    if not turned or len(turned) > MOST:
        return None
    row, lane = loop.index, inner.index
    if row in names_in(inner.extent):
        return None
    copy = copy_of(loop, before, inner)
    if copy is not None:
        return [_copied(copy, scalar, pointer)]
    first, at = f"{row}_first", {row: var(f"{row}_first")}
    lines = [f"{{ int64_t {first} = 0; const int64_t {row}_end = {scalar(loop.extent)};"]
    lines.append(f"for (; {first} + {LANES} <= {row}_end; {first} += {LANES}) {{")
    lines.append(f"const int64_t end = {scalar(inner.extent)}; int64_t {lane} = 0;")
    lines.append(f"for (; {lane} + {LANES} <= end; {lane} += {LANES}) {{")
    for s, (start, stride) in turned.items():
        address = f"{pointer(s.buffer)} + {scalar(substituted(start, at))}"
        lines.append(f"v_{TAG[s.dtype]} block_{s.name}[{LANES}];")
        lines.append(f"vturn_{TAG[s.dtype]}(block_{s.name}, {address}, {scalar(stride)});")
    each = f"for (int64_t {row}_k = 0; {row}_k < {LANES}; {row}_k++) {{ const int64_t {row} = {first} + {row}_k;"
    blocks = {s.name: f"block_{s.name}[{row}_k]" for s in turned}
    lines += [each, *_rows(before, inner, scalar, pointer, False, blocks), "}", "}"]
    lines += [f"if ({lane} < end) {{ const int64_t left = end - {lane};", each]
    lines += [*_rows(before, inner, scalar, pointer, True, {}), "}", "}", "}"]
    lines.append(f"for (int64_t {row} = {first}; {row} < {row}_end; {row}++) {{")
    return [*lines, *rest(), "}", "}"]


def _turned(loop: For, before: Sequence[Statement], inner: For) -> dict[Load, tuple[Expr, Expr]]:
    """The operands that are contiguous along ``loop``, with the position of an element and the stride along lanes."""
    definitions = _definitions(before, inner)
    loaded = {s.name for s in inner.body if isinstance(s, Load)}
    found: dict[Load, tuple[Expr, Expr]] = {}
    for s in inner.body:
        if isinstance(s, Load) and s.dtype in TAG and s.dtype not in ("bool", "float16"):
            plain = substituted(s.index, definitions)
            if not loaded.isdisjoint(names_in(plain)):
                continue
            stride, along = coefficient(plain, inner.index), coefficient(plain, loop.index)
            if stride is None or along is None or not (along.op == "const" and along.value == 1):
                continue
            if stride.op != "const" or stride.value not in (0, 1):
                found[s] = plain, stride
    return found


class Copy(NamedTuple):
    """A loop that copies elements of one operand, turned, to rows of memory.

    The operand's ``rows`` of ``length`` elements begin at ``start`` and are ``stride`` apart; they become columns of
    rows that begin at ``first`` and are ``width`` apart.
    """

    dtype: str
    to: str
    first: Expr
    width: Expr
    of: str
    start: Expr
    stride: Expr
    rows: Expr
    length: Expr


def copy_of(loop: For, before: Sequence[Statement], inner: Statement) -> Copy | None:
    """The copy that ``loop`` around ``before`` and the loop ``inner`` makes; None if it does something else."""
    if not isinstance(inner, For) or inner.kind != "simd" or not all(isinstance(s, Let) for s in before):
        return None
    rest = [s for s in inner.body if not isinstance(s, Let)]
    if len(rest) != 2:
        return None
    load, store = rest
    turned = _turned(loop, before, inner)
    if not isinstance(load, Load) or load not in turned or not isinstance(store, Store):
        return None
    value = store.value
    if value.op != "var" or value.value != load.name or value.dtype != load.dtype:
        return None
    plain = substituted(store.index, _definitions(before, inner))
    along, width = coefficient(plain, inner.index), coefficient(plain, loop.index)
    if width is None or along is None or not (along.op == "const" and along.value == 1):
        return None
    start, stride = turned[load]
    at = {loop.index: ZERO, inner.index: ZERO}
    first, start = substituted(plain, at), substituted(start, at)
    return Copy(load.dtype, store.buffer, first, width, load.buffer, start, stride, inner.extent, loop.extent)


def has_copies(body: Sequence[Statement]) -> bool:
    """Whether statements copy tiles, in any loop."""
    stack = list(body)
    while stack:
        s = stack.pop()
        if isinstance(s, For):
            if s.body and copy_of(s, s.body[:-1], s.body[-1]) is not None:
                return True
            stack.extend(s.body)
    return False


def _copied(copy: Copy, scalar: Callable[[Expr], str], pointer: Callable[[str], str]) -> str:
    """The call that copies."""
    to = f"{pointer(copy.to)} + {scalar(copy.first)}, {scalar(copy.width)}"
    of = f"{pointer(copy.of)} + {scalar(copy.start)}, {scalar(copy.stride)}"
    return f"vturn_all_{TAG[copy.dtype]}({to}, {of}, {scalar(copy.length)}, {scalar(copy.rows)});"


def _definitions(before: Sequence[Statement], inner: For) -> dict[str, Expr]:
    """What the names of indices stand for."""
    return {s.name: s.value for s in (*before, *inner.body) if isinstance(s, Let) and s.value.dtype == "int64"}


def _rows(
    before: Sequence[Statement],
    inner: For,
    scalar: Callable[[Expr], str],
    pointer: Callable[[str], str],
    partial: bool,
    blocks: dict[str, str],
) -> list[str]:
    """The lines of one row of a block, or of the lanes that fill none."""
    body = VectorBody(inner, scalar, partial, inner.index)
    lines = []
    for s in before:
        assert isinstance(s, Let)
        lines.append(f"const {CTYPE[s.value.dtype]} {s.name} = {scalar(s.value)};")
    for s in inner.body:
        if isinstance(s, Let):
            body.let(s)
        elif isinstance(s, Load):
            if s.name in blocks:
                body.bind(s.name, s.dtype, blocks[s.name])
            else:
                body.load(s, pointer(s.buffer))
        elif isinstance(s, Store):
            body.store(s, pointer(s.buffer))
    return lines + body.lines
