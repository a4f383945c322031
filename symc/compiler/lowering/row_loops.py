"""Loops whose body computes every row of its arrays from the same row, as recurrent networks do for a batch.

Each thread can run all iterations of such a loop on rows of its own, without waiting for the others. The loop that
``by_rows`` returns has symbols for the first and the last row: its steps run on the rows between them, through
references that begin at the first row and kernels whose number of rows is a dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import sympy

from symc.compiler.lowering.row_forms import Access, RowForm, row_form
from symc.graph import dims
from symc.loops.expr import Expr
from symc.loops.ir import Buffer, Loop, Ref, Rows, Step

__all__ = ["by_rows"]


def by_rows(loop: Loop, buffers: Sequence[Buffer]) -> Loop | None:
    """The same loop with ``rows``, or None if its iterations do not compute rows independently of each other."""
    if loop.until is not None or not loop.body:
        return None
    forms: list[tuple[Step, RowForm]] = []
    for node in loop.body:
        form = row_form(node.kernel) if isinstance(node, Step) else None
        if form is None or not isinstance(node, Step):
            return None
        forms.append((node, form))
    extents = [_extent(step, form.extent) for step, form in forms]
    found = _common(extents)
    if found is None or any(dims.symbols_of(d) & {loop.index} for d in extents):
        return None
    count, multiples = found
    if type(count) is int and count < 2:
        return None
    places = [_Place(step, form, many, buffers) for (step, form), many in zip(forms, multiples)]
    if not _are_separate(places, count):
        return None
    first, last = dims.new_symbol("first"), dims.new_symbol("last")
    body = tuple(place.ranged(first, last) for place in places)
    return replace(loop, body=body, rows=Rows(first, last, count))


def _extent(step: Step, extent: Expr) -> dims.Dim:
    """The number of rows of a step's kernel as a dim."""
    return int(extent.value) if extent.op == "const" else step.dims[int(extent.value[1:])]


def _common(extents: Sequence[dims.Dim]) -> tuple[dims.Dim, list[int]] | None:
    """The largest number of rows of which all extents are multiples, and these multiples."""
    split = [_factors(d) for d in extents]
    rest = split[0][1]
    if any(r != rest for _, r in split) or any(c <= 0 for c, _ in split):
        return None
    common = gcd(*(c for c, _ in split))
    return dims.mul(common, rest), [c // common for c, _ in split]


def _factors(d: dims.Dim) -> tuple[int, Any]:
    if type(d) is int:
        return d, 1
    number, rest = d.as_coeff_Mul()
    return (int(number), rest) if number.is_Integer else (0, d)


@dataclass
class _Place:
    """A step, what its kernel does to a row, how many of these make one row of the loop, and the program's buffers."""

    step: Step
    form: RowForm
    many: int
    buffers: Sequence[Buffer]

    def root(self, k: int) -> int:
        """The buffer whose memory the kernel's buffer ``k`` is in."""
        number = self.step.refs[k].buffer
        while self.buffers[number].alias >= 0:
            number = self.buffers[number].alias
        return number

    def pitch(self, k: int) -> int:
        """The distance of two rows of the loop in the kernel's buffer ``k``; 0 where all rows read the same."""
        return self.form.access[k].stride * self.many if k in self.form.access else 0

    def ranged(self, first: Any, last: Any) -> Step:
        """The step for the rows from ``first`` to ``last``."""
        refs = tuple(
            Ref(r.buffer, dims.add(r.offset, dims.mul(first, self.pitch(k)))) if self.pitch(k) else r
            for k, r in enumerate(self.step.refs)
        )
        rows = dims.mul(dims.sub(last, first), self.many)
        return replace(self.step, kernel=self.form.resized, refs=refs, dims=(*self.step.dims, rows))


def _are_separate(places: Sequence[_Place], count: dims.Dim) -> bool:
    """Whether what the steps write for one row is neither read nor written for any other row, in any iteration."""
    written = {place.root(k) for place in places for k in place.step.kernel.writes}
    pitches: dict[int, int] = {}
    for place in places:
        for k, ref in enumerate(place.step.refs):
            root = place.root(k)
            if root not in written:
                continue
            pitch, access = place.pitch(k), place.form.access.get(k)
            if access is None:
                continue  # the kernel names the buffer without accessing it
            if pitch <= 0 or pitches.setdefault(root, pitch) != pitch:
                return False
            if not is_inside(access, place.many, pitch, ref.offset, count):
                return False
    return True


def is_inside(access: Access, many: int, pitch: int, offset: dims.Dim, count: dims.Dim) -> bool:
    """Whether a row's accesses stay in the row: the array consists of whole steps of ``count`` rows of ``pitch``."""
    if access.low is None or access.high is None:
        return False
    start = offset_in(offset, dims.mul(count, pitch))
    if start is None:
        return False
    return start + access.low >= 0 and start + access.high + (many - 1) * access.stride < pitch


def offset_in(offset: dims.Dim, size: dims.Dim) -> int | None:
    """``offset`` modulo ``size``, if that is a known number."""
    if type(offset) is int and type(size) is int:
        return offset % size
    left = 0
    for term in sympy.Add.make_args(sympy.expand(offset)):
        if term.is_Integer and type(size) is not int:
            left += int(term)
            continue
        coefficient, rest = sympy.cancel(term / size).as_coeff_Mul()
        if coefficient.is_Integer and sympy.fraction(rest)[1] == 1:
            continue
        if not term.is_Integer:
            return None
        left += int(term) % int(size)
    return left if type(size) is not int else left % size
