"""``theano.sandbox.multinomial``: draws of outcomes from uniformly distributed numbers."""

from __future__ import annotations

from typing import Any

import symc
import symc.tensor as T
from symc.compat.errors import NotOffered
from symc.compat.op_class import OpClass
from symc.graph import Variable
from symc.tensor.assertions import assert_op

__all__ = ["ChoiceFromUniform", "MultinomialFromUniform", "MultinomialWOReplacementFromUniform"]


class MultinomialFromUniform(OpClass):
    """``MultinomialFromUniform(odtype)(pvals, unis, n)``: how often each outcome occurs in ``n`` trials per row.

    Parameters
    ----------
    pvals : tensor_like
        ``(rows, outcomes)``, the probabilities.
    unis : tensor_like
        ``(n * rows,)``, numbers in [0, 1): trial ``t`` of row ``r`` uses number ``t * rows + r``. Its outcome is the
        first one at which the sum of the probabilities exceeds the number.
    n : int or integer scalar

    Returns
    -------
    Variable
        ``(rows, outcomes)`` of dtype ``odtype``, for ``"auto"`` that of ``pvals``.
    """

    takes: dict[str, Any] = {"odtype": "auto"}

    def __call__(self, pvals: Any, unis: Any, n: Any = 1) -> Variable:
        p, u = _operands(pvals, unis, n)
        hit = T.lt(u.reshape((n, p.shape[0]), ndim=2).dimshuffle(0, 1, "x"), _sums(p).dimshuffle("x", 0, 1))
        chosen = T.eq(T.argmax(hit, axis=2).dimshuffle(0, 1, "x"), T.arange(p.shape[1]).dimshuffle("x", "x", 0))
        counts = T.sum(T.cast(T.and_(hit, chosen), "int64"), axis=0)
        return T.cast(counts, p.dtype if self.odtype == "auto" else self.odtype)


class ChoiceFromUniform(OpClass):
    """``ChoiceFromUniform(odtype)(pvals, unis, n)``: ``n`` different outcomes per row, one after the other.

    The operands are those of ``MultinomialFromUniform``. After each trial, the probability of its outcome is set to
    zero and the others are divided by their sum; with ``replace=True``, they stay.

    Returns
    -------
    Variable
        ``(rows, n)``, the numbers of the outcomes; int64 for ``odtype="auto"``.
    """

    takes = {"odtype": "auto", "replace": False}

    def __call__(self, pvals: Any, unis: Any, n: Any = 1) -> Variable:
        p, u = _operands(pvals, unis, n)
        text = "ChoiceFromUniform: cannot draw more outcomes without replacement than there are"
        if not self.replace:
            p = assert_op(p, T.le(n, p.shape[1]), msg=text, error=ValueError)

        def trial(numbers: Variable, left: Variable) -> Any:
            at = T.argmax(T.lt(numbers.dimshuffle(0, "x"), _sums(left)), axis=1)
            if self.replace:
                return at, left
            kept = T.switch(T.eq(at.dimshuffle(0, "x"), T.arange(p.shape[1]).dimshuffle("x", 0)), 0, left)
            total = T.sum(kept, axis=1, keepdims=True)
            return at, kept / T.switch(T.gt(total, 0), total, 1)

        numbers = u.reshape((n, p.shape[0]), ndim=2)
        (drawn, _), _ = symc.scan(trial, sequences=[numbers], outputs_info=[None, p])
        return T.cast(drawn.T, "int64" if self.odtype == "auto" else self.odtype)


MultinomialWOReplacementFromUniform = ChoiceFromUniform


def _operands(pvals: Any, unis: Any, n: Any) -> tuple[Variable, Variable]:
    p, u = T.as_tensor_variable(pvals), T.as_tensor_variable(unis)
    for what, v, ndim in (("pvals", p, 2), ("unis", u, 1)):
        if v.ndim != ndim:
            raise NotOffered(f"multinomial: {what} must have {ndim} axes, got {v.type}")
    text = "multinomial: unis must have one number per row of pvals and trial"
    return p, assert_op(u, T.eq(u.shape[0], p.shape[0] * n), msg=text, error=ValueError)


def _sums(p: Variable) -> Variable:
    """The sums of the probabilities up to each outcome."""
    return T.cumsum(p, axis=1)
