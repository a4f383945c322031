"""Sums of products given by subscripts (Einstein's notation), as a sequence of products of two operands."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.errors import located
from symc.graph import Variable
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.broadcasting import sum
from symc.tensor.diagonals import diagonal
from symc.tensor.linalg import batched_dot, dot, product_of
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.symbolic_dims import length, shape_i

__all__ = ["einsum"]

_UNKNOWN_LENGTH = 64
"""What an unknown dim is taken for where the order of contractions is chosen."""


class _Term(NamedTuple):
    """A tensor whose axes are named by ``letters``."""

    value: Variable
    letters: str


def einsum(subscripts: str, *operands: Any, optimize: Any = True) -> Variable:
    """Sum products of the operands' elements over the axes that do not appear in the result, as ``numpy.einsum``.

    Parameters
    ----------
    subscripts : str
        A letter per axis of each operand, separated by commas, then optionally ``->`` and the letters of the result:
        ``"bij,bjk->bik"``. Without ``->``, the result has the letters that appear once, in alphabetical order. A letter
        repeated within one operand takes its diagonal. ``...`` stands for further axes, which broadcast.
    *operands : tensor_like
    optimize : bool or str
        How the order of contractions is chosen: as for ``numpy.einsum_path``. An unknown dim is taken for 64. False
        contracts from left to right.

    Raises
    ------
    ValueError
        If the subscripts are malformed, or do not name every axis.
    ShapeError
        If axes of one letter differ in length; lengths known only at call time are checked there.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: subscripts must be a string such as 'ij,jk->ik', got {type(subscripts).__name__}")
    values = [as_tensor(v) for v in operands]
    names, result = _parsed(subscripts, values)
    dtype = unify_dtypes(values)
    terms = _fitting([_Term(ew.cast(v, dtype), letters) for v, letters in zip(values, names)], subscripts)
    for chosen in _path(terms, result, optimize):
        picked = [terms[k] for k in chosen]
        terms = [t for k, t in enumerate(terms) if k not in chosen]
        kept = set(result).union(*(t.letters for t in terms))
        total = _alone(picked[0], kept.union(*(t.letters for t in picked[1:])))
        for k, other in enumerate(picked[1:], 2):
            total = _product(total, other, kept.union(*(t.letters for t in picked[k:])))
        terms.append(total)
    (final,) = terms
    final = _alone(final, set(result))
    return dimshuffle(final.value, [final.letters.index(c) for c in result])


# --- subscripts -----------------------------------------------------------------------------------------------------


def _parsed(subscripts: str, values: Sequence[Variable]) -> tuple[list[str], str]:
    """The letters of each operand's axes and of the result's, without ellipses."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    names = left.split(",")
    if len(names) != len(values):
        _refuse(f"{len(names)} operands are described, {len(values)} were given", subscripts, values)
    spare = [c for c in string.ascii_letters[::-1] if c not in text]
    extra = [_extra(name, v, subscripts, values) for name, v in zip(names, values)]
    most = max(extra, default=0)
    if most > len(spare):
        _refuse("too many axes", subscripts, values)
    ellipsis = spare[:most]
    names = [name.replace("...", "".join(ellipsis[len(ellipsis) - n :])) for name, n in zip(names, extra)]
    if arrow:
        result = right.replace("...", "".join(ellipsis))
    else:
        counts = Counter("".join(names))
        result = "".join(ellipsis) + "".join(sorted(c for c in counts if counts[c] == 1 and c not in ellipsis))
    for c in result:
        if not any(c in name for name in names):
            _refuse(f"the result has an axis {c!r}, which no operand has", subscripts, values)
        if result.count(c) > 1:
            _refuse(f"the result has the axis {c!r} twice", subscripts, values)
    return names, result


def _extra(name: str, v: Variable, subscripts: str, values: Sequence[Variable]) -> int:
    """How many axes the ellipsis of an operand stands for."""
    letters = name.replace("...", "", 1)
    if not all(c in string.ascii_letters for c in letters):
        _refuse(f"{name!r} is not made of letters and one ellipsis", subscripts, values)
    missing = v.ndim - len(letters)
    if missing < 0 or (missing and "..." not in name):
        _refuse(f"{name!r} names {len(letters)} axes of an operand with {v.ndim}", subscripts, values)
    return missing


def _refuse(problem: str, subscripts: str, values: Sequence[Variable]) -> None:
    repair = "give one letter per axis, as in 'bij,bjk->bik'"
    raise ValueError(located(f"einsum: {problem} (subscripts {subscripts!r})", values, repair))


# --- lengths --------------------------------------------------------------------------------------------------------


def _fitting(terms: Sequence[_Term], subscripts: str) -> list[_Term]:
    """Drop axes of length 1 that meet longer ones, take diagonals, and check that the other lengths agree."""
    owners: dict[str, Variable] = {}
    for value, letters in terms:
        for k, c in enumerate(letters):
            if not value.type.broadcastable[k]:
                owners.setdefault(c, shape_i(value, k))
    found = []
    for value, letters in terms:
        pairs = [
            (shape_i(value, k), owners[c], f"einsum: axes named {c!r} differ in length in {subscripts!r}")
            for k, c in enumerate(letters)
            if c in owners and not value.type.broadcastable[k]
        ]
        value = require_lengths(value, pairs, "axes of one letter must be equally long")
        kept = [k for k, c in enumerate(letters) if not (value.type.broadcastable[k] and c in owners)]
        value, letters = dimshuffle(value, kept), "".join(letters[k] for k in kept)
        while (twice := next((c for c in letters if letters.count(c) > 1), None)) is not None:
            first, second = letters.index(twice), letters.rindex(twice)
            value = diagonal(value, 0, first, second)
            letters = "".join(c for k, c in enumerate(letters) if k not in (first, second)) + twice
        found.append(_Term(value, letters))
    return found


def _path(terms: Sequence[_Term], result: str, optimize: Any) -> list[tuple[int, ...]]:
    """Which terms are contracted in each step; the product is appended to those that are left."""
    if len(terms) < 3 or optimize is False:
        return [tuple(range(len(terms)))]
    known = {c: d for v, letters in terms for c, d in zip(letters, v.type.shape) if type(d) is int}
    stubs = [np.broadcast_to(np.float64(0), [known.get(c, _UNKNOWN_LENGTH) for c in letters]) for _, letters in terms]
    text = ",".join(letters for _, letters in terms) + "->" + "".join(c for c in result if _appears(c, terms))
    return [tuple(step) for step in np.einsum_path(text, *stubs, optimize=optimize)[0][1:]]


def _appears(c: str, terms: Sequence[_Term]) -> bool:
    return any(c in t.letters for t in terms)


# --- contractions ---------------------------------------------------------------------------------------------------


def _alone(term: _Term, kept: Iterable[str]) -> _Term:
    """Sum over the axes that are not kept."""
    axes = tuple(k for k, c in enumerate(term.letters) if c not in set(kept))
    if not axes:
        return term
    return _Term(sum(term.value, axis=axes), "".join(c for k, c in enumerate(term.letters) if k not in axes))


def _product(a: _Term, b: _Term, kept: set[str]) -> _Term:
    """Multiply two terms, and sum over their axes that are not kept."""
    a, b = _alone(a, kept | set(b.letters)), _alone(b, kept | set(a.letters))
    common = [c for c in a.letters if c in b.letters]
    batch, summed = [c for c in common if c in kept], [c for c in common if c not in kept]
    rows, columns = [c for c in a.letters if c not in common], [c for c in b.letters if c not in common]
    letters = [*batch, *rows, *columns]
    if not summed:
        return _Term(ew.mul(_lined_up(a, letters), _lined_up(b, letters)), "".join(letters))
    lengths = {c: length(t.value, k) for t in (a, b) for k, c in enumerate(t.letters)}
    left, right = _matrix(a, batch, rows, summed, lengths), _matrix(b, batch, summed, columns, lengths)
    found = batched_dot(left, right) if batch else dot(left, right)
    return _Term(reshape(found, [lengths[c] for c in letters], ndim=len(letters)), "".join(letters))


def _lined_up(term: _Term, letters: Sequence[str]) -> Variable:
    return dimshuffle(term.value, [term.letters.index(c) if c in term.letters else "x" for c in letters])


def _matrix(
    term: _Term, batch: Sequence[str], rows: Sequence[str], columns: Sequence[str], lengths: dict[str, Any]
) -> Variable:
    """The term as a matrix, or as one matrix per index of the batch axes."""
    groups = (batch, rows, columns) if batch else (rows, columns)
    ordered = dimshuffle(term.value, [term.letters.index(c) for g in groups for c in g])
    if all(len(g) == 1 for g in groups):
        return ordered
    return reshape(ordered, [product_of([lengths[c] for c in g]) for g in groups], ndim=len(groups))
