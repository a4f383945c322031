"""Gradients of a part of a graph, to be continued elsewhere: ``subgraph_grad``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.gradient.reverse import grad
from symc.graph import Variable

__all__ = ["subgraph_grad"]


def subgraph_grad(
    wrt: Sequence[Variable],
    end: Sequence[Variable],
    start: Mapping[Variable, Any] | None = None,
    cost: Variable | None = None,
    details: bool = False,
) -> tuple[list[Variable] | None, ...]:
    """Compute gradients from a cost, or from known gradients, back to the variables ``end``, and not beyond.

    A deep graph is differentiated in parts: the gradients by ``end`` of one part are the ``start`` of the next.

    Parameters
    ----------
    wrt : sequence of Variable
        The variables of this part to differentiate by.
    end : sequence of Variable
        Where to end: what lies behind them is constant.
    start : mapping, optional
        Known gradients of some variables, as ``known_grads`` of :func:`symc.grad`.
    cost : Variable, optional
        A scalar whose gradients are added, such as a penalty of this part. If it depends on variables of ``start``
        whose known gradients include that of ``cost``, these count twice.
    details : bool
        Also return the two summands.

    Returns
    -------
    tuple of two lists of Variable
        The gradients by ``wrt`` and by ``end``. With ``details``, two more lists: the gradients by ``wrt`` that come
        from ``start`` and those that come from ``cost``, or None for what was not given.

    Raises
    ------
    ValueError
        If neither ``start`` nor ``cost`` is given.

    Examples
    --------
    >>> x, t = T.matrix("x"), T.matrix("t")
    >>> w1, w2 = symc.shared(np.ones((3, 4))), symc.shared(np.ones((4, 2)))
    >>> a1 = T.tanh(T.dot(x, w1))
    >>> cost = T.sqr(T.tanh(T.dot(a1, w2)) - t).sum()
    >>> (of_w2,), at_a1 = symc.gradient.subgraph_grad([w2], [a1], cost=cost)
    >>> (of_w1,), _ = symc.gradient.subgraph_grad([w1], [x], start={a1: at_a1[0]})
    """
    if start is None and cost is None:
        raise ValueError("subgraph_grad: give start, cost, or both")
    for name, listed in (("wrt", wrt), ("end", end)):
        if not isinstance(listed, (list, tuple)):
            raise TypeError(f"subgraph_grad: {name} must be a list of variables, got {listed!r}")
    if start is not None and not isinstance(start, Mapping):
        raise TypeError(f"subgraph_grad: start must be a dict from variables to gradients, got {start!r}")
    targets = list(dict.fromkeys([*wrt, *end]))
    from_start, from_cost = (
        None if of is None and known is None else _gradients(of, targets, end, known)
        for of, known in ((None, start), (cost, None))
    )
    total = from_start if from_cost is None else from_cost
    if from_start is not None and from_cost is not None:
        total = {v: from_start[v] + from_cost[v] for v in targets}
    assert total is not None
    found = [total[v] for v in wrt], [total[v] for v in end]
    if not details:
        return found
    more = [None if part is None else [part[v] for v in wrt] for part in (from_start, from_cost)]
    return *found, *more


def _gradients(
    cost: Variable | None, targets: list[Variable], end: Sequence[Variable], known: Mapping[Variable, Any] | None
) -> dict[Variable, Variable]:
    return dict(zip(targets, grad(cost, targets, list(end), "ignore", add_names=False, known_grads=known)))
