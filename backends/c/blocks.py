"""Maps of transposed operands, a block of ``LANES`` x ``LANES`` elements at a time.

Along the lanes of such a map, an operand has a stride, and a vector of it touches as many lines of memory as it has
lanes. The operand is contiguous along the loop around it: a block is read row by row and transposed in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symc.loops.expr import ZERO, Expr, coefficient, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Let, Load, Statement, Store
from symc_backends.c.dialect import CTYPE, LANES, TAG
from symc_backends.c.vector import VectorBody, can_vectorise

__all__ = ["emit_blocks"]

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
    copy = _copy(loop, before, inner, turned, scalar, pointer)
    if copy:
        return [copy]
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
    definitions = {s.name: s.value for s in (*before, *inner.body) if isinstance(s, Let) and s.value.dtype == "int64"}
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


def _copy(
    loop: For,
    before: Sequence[Statement],
    inner: For,
    turned: dict[Load, tuple[Expr, Expr]],
    scalar: Callable[[Expr], str],
    pointer: Callable[[str], str],
) -> str:
    """The call that does what the loop does, if it copies one operand to rows of memory; else ""."""
    rest = [s for s in inner.body if not isinstance(s, Let)]
    if len(rest) != 2:
        return ""
    load, store = rest
    if not isinstance(load, Load) or load not in turned or not isinstance(store, Store):
        return ""
    value = store.value
    if value.op != "var" or value.value != load.name or value.dtype != load.dtype:
        return ""
    definitions = {s.name: s.value for s in (*before, *inner.body) if isinstance(s, Let) and s.value.dtype == "int64"}
    plain = substituted(store.index, definitions)
    along, width = coefficient(plain, inner.index), coefficient(plain, loop.index)
    if width is None or along is None or not (along.op == "const" and along.value == 1):
        return ""
    start, stride = turned[load]
    first = {loop.index: ZERO, inner.index: ZERO}
    to, of = (scalar(substituted(at, first)) for at in (plain, start))
    places = f"{pointer(store.buffer)} + {to}, {scalar(width)}, {pointer(load.buffer)} + {of}, {scalar(stride)}"
    return f"vturn_all_{TAG[load.dtype]}({places}, {scalar(loop.extent)}, {scalar(inner.extent)});"


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
