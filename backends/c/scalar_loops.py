"""Simd loops one element at a time, for ``symc.config.isa = "scalar"``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from symc.loops.expr import Expr, index, names_in
from symc.loops.ir import SUM_TERMS, Accumulate, For, Statement
from symc_backends.c.dialect import CTYPE

__all__ = ["emit_scalar", "totalled", "with_parts"]


def with_parts(loop: For, dtype_of: Callable[[str], str]) -> tuple[list[Statement], dict[str, Accumulate]]:
    """The body of a simd loop with sums of floats, to one element, in variables instead; and the sums, by variable."""
    sums: dict[str, Accumulate] = {}
    body: list[Statement] = []
    for k, s in enumerate(loop.body):
        if (
            isinstance(s, Accumulate)
            and s.op == "add"
            and dtype_of(s.buffer) in SUM_TERMS
            and loop.index not in names_in(s.index)
        ):
            sums[f"part{k}_{loop.index}"] = s
            s = replace(s, buffer=f"part{k}_{loop.index}", index=index(0))
        body.append(s)
    return body, sums


def totalled(
    sums: Mapping[str, Accumulate], element: Callable[[str, Expr], str], dtype_of: Callable[[str], str]
) -> list[str]:
    """C lines that add the totals of sums, in variables, to their elements."""
    lines = []
    for name, s in sums.items():
        target = element(s.buffer, s.index)
        lines.append(f"{target} = ({CTYPE[dtype_of(s.buffer)]})({target} + total_{name});")
    return lines


def emit_scalar(
    loop: For,
    scalar: Callable[[Expr], str],
    element: Callable[[str, Expr], str],
    dtype_of: Callable[[str], str],
    block: Callable[[Sequence[Statement], dict[str, str]], list[str]],
) -> list[str]:
    """Generate C lines for a simd loop without vectors.

    Sums of floats are added in blocks of ``SUM_TERMS`` terms, as the loop IR requires. ``element(buffer, index)``
    writes an element, and ``block(body, registers)`` writes statements, of which some use further C variables, with
    their dtypes. The other arguments are those of ``symc_backends.c.simd_loops.emit_simd``.
    """
    i, end = loop.index, scalar(loop.extent)
    body, sums = with_parts(loop, dtype_of)
    dtypes = {name: dtype_of(s.buffer) for name, s in sums.items()}
    inside = block(body, dtypes)
    if not sums:
        return [f"for (int64_t {i} = 0, {i}_end = {end}; {i} < {i}_end; {i}++) {{", *inside, "}"]
    terms = min(SUM_TERMS[dtype] for dtype in dtypes.values())
    lines = [f"{{ const int64_t {i}_end = {end}; int64_t {i} = 0;"]
    lines += [f"double total_{name} = 0;" for name in sums]
    lines.append(f"while ({i} < {i}_end) {{")
    lines.append(f"const int64_t {i}_stop = {i}_end - {i} < {terms} ? {i}_end : {i} + {terms};")
    lines += [f"{CTYPE[dtype]} {name} = 0;" for name, dtype in dtypes.items()]
    lines += [f"for (; {i} < {i}_stop; {i}++) {{", *inside, "}"]
    lines += [*(f"total_{name} += {name};" for name in sums), "}"]
    return [*lines, *totalled(sums, element, dtype_of), "}"]
