"""``grad``, a transformation from graphs to graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symc.config import config
from symc.errors import (
    DisconnectedInputError,
    DTypeError,
    NullGradError,
    TypeMismatchError,
    building_at,
    here,
    located,
    warn,
)
from symc.gradient.absent import DisconnectedType, NullType, disconnected_type, null_gradient
from symc.gradient.accumulation import Accumulation
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.collector import uncollected
from symc.graph.composite import Composite
from symc.graph.dtypes import BRAIN, is_complex, is_float, is_held
from symc.tensor.basic import as_tensor
from symc.tensor.bfloat16 import packed, wide
from symc.tensor.complex_numbers.parts import held, parts, real_sources, stacked, unstacked
from symc.tensor.creation import fill, ones_like, zeros_like
from symc.tensor.elementwise import cast
from symc.tensor.shaping import addbroadcast

__all__ = ["grad", "like", "zero_gradient"]


@uncollected
def grad(
    cost: Variable | None,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """Compute the gradients of a scalar ``cost`` symbolically.

    Parameters
    ----------
    cost : Variable or None
        A scalar; may be None if ``known_grads`` is given. An integer cost is a step function, whose gradients are zero.
    wrt : Variable or sequence of Variable
        The variables to differentiate with respect to. The gradient by a sparse matrix is a sparse matrix, at the
        places of its entries.
    consider_constant : sequence of Variable, optional
        Variables through which no gradient flows. A variable that is also in ``wrt`` still has its own gradient.
    disconnected_inputs : {"raise", "warn", "ignore"}
        What to do when ``cost`` does not depend on an entry of ``wrt``.
    add_names : bool
        Name the results after ``cost`` and ``wrt`` if these have names.
    known_grads : mapping, optional
        Gradients of some variables, which replace the gradients that ``cost`` would contribute to these variables.
    return_disconnected : {"zero", "none", "disconnected"}
        What to return for a disconnected gradient that raised no error: zeros, None, or a variable of type
        ``DisconnectedType``. Letter case does not matter.
    null_gradients : {"raise", "return"}
        What to do if a gradient does not exist: raise an error, or return a variable of type ``NullType``, whose
        ``why_null`` is the reason and which cannot be used in an expression.

    Returns
    -------
    Variable, or a list or tuple of them like ``wrt``
        Each has the shape and dtype of its ``wrt``. The gradient by an integer variable is a float: integers are
        treated as real numbers. The integer result of an op has zero derivatives by its inputs.

    Raises
    ------
    TypeMismatchError
        If ``cost`` is not a scalar.
    DisconnectedInputError
        See ``disconnected_inputs``.
    NullGradError
        If the path goes through an op without a derivative; see ``null_gradients``.

    Notes
    -----
    The gradient by a complex variable ``z = x + iy`` is ``dC/dx + i dC/dy``, as in Theano: ``z - rate * gradient``
    descends. A complex ``cost`` has no gradient; differentiate a real function of it, such as ``abs(cost)``.

    Where a function selects among values (``switch``, ``maximum``, ``clip``, ``abs``, ``max``, ``prod``, ``pow``, an
    index), values that were not selected have a gradient of exactly zero, even where their own derivative is infinite
    or NaN.

    At kinks the derivative is one-sided or zero: it is 0 for ``abs`` and ``relu`` at 0; ``maximum`` and ``minimum`` of
    equal operands pass the whole gradient to the first, ``clip`` passes the whole gradient to its argument at both
    bounds, and ``max`` and ``min`` over an axis pass the whole gradient to each of several equal elements.

    Examples
    --------
    >>> import symc, symc.tensor as T
    >>> v = T.scalar("v")
    >>> slope = symc.grad(T.switch(v < 7, v, T.sqrt(v - 7)), v)
    >>> float(symc.function([v], slope)(5))
    1.0
    """
    _one_of("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    _one_of("return_disconnected", return_disconnected.lower(), ("zero", "none", "disconnected"))
    _one_of("null_gradients", null_gradients, ("raise", "return"))
    given: list[Any] = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    targets = [t.differentiable() if isinstance(t, Composite) else t for t in given]
    for target in targets:
        if not isinstance(target, Variable):
            raise TypeError(f"grad: wrt must hold symbolic variables, got {target!r}")
    if any(is_held(target.dtype) for target in targets):
        options = (consider_constant, disconnected_inputs, add_names, known_grads, return_disconnected, null_gradients)
        found = [
            t.with_gradient(g) if isinstance(t, Composite) else g
            for t, g in zip(given, _by_parts(cost, targets, options))
        ]
        return like(wrt, found)
    with building_at(here()):
        seeds = _seeds(cost, known_grads)
        walk = Accumulation(seeds, targets, _constants(consider_constant), null_gradients)
    results: list[Any] = []
    for target in targets:
        if target in walk.undefined:
            results.append(null_gradient(walk.undefined[target]))
            continue
        if target not in walk.connected and disconnected_inputs != "ignore":
            message = _disconnected_message(target, cost, known_grads or {})
            if disconnected_inputs == "raise":
                raise DisconnectedInputError(message)
            warn(message)
        results.append(_result(target, walk, return_disconnected.lower()))
    if add_names and cost is not None and cost.name:
        _name(cost.name, targets, results)
    results = [t.with_gradient(g) if isinstance(t, Composite) else g for t, g in zip(given, results)]
    return like(wrt, results)


def like(given: Any, results: list[Any]) -> Any:
    """Return results as their variables were given: a list, a tuple, or one alone."""
    if isinstance(given, (list, tuple)):
        return tuple(results) if isinstance(given, tuple) else results
    return results[0]


def _by_parts(cost: Any, targets: Sequence[Variable], options: Sequence[Any]) -> list[Any]:
    """Gradients by variables of which some are complex: those by their parts, put together."""
    sources = [real_sources(v) if is_held(v.dtype) else (v,) for v in targets]
    found = iter(grad(cost, [v for of_one in sources for v in of_one], *options))
    return [_together(v, [next(found) for _ in of_one]) for v, of_one in zip(targets, sources)]


def _together(target: Variable, found: Sequence[Any]) -> Any:
    """The gradient by ``target`` from those by its real sources."""
    if not is_held(target.dtype):
        return found[0]
    absent = [g for g in found if g is None or isinstance(g.type, (NullType, DisconnectedType))]
    if absent:
        return absent[0]
    if target.dtype == BRAIN:
        made = packed(found[0])
    else:
        made = held(*found) if len(found) == 2 else unstacked(found[0])
    made.name = found[0].name
    return made


def _one_of(what: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        names = " or ".join([", ".join(map(repr, allowed[:-1])), repr(allowed[-1])])
        raise ValueError(f"grad: {what} must be {names}, got {given!r}")


def _constants(given: Sequence[Variable] | None) -> frozenset[Variable]:
    if isinstance(given, Variable):
        given = [given]
    for v in given or ():
        if not isinstance(v, Variable):
            raise TypeError(f"grad: consider_constant must hold symbolic variables, got {v!r}")
    return frozenset(s for v in given or () for s in (real_sources(v) if is_held(v.dtype) else (v,)))


def _seeds(cost: Variable | None, known: Mapping[Variable, Any] | None) -> dict[Variable, Variable]:
    seeds: dict[Variable, Variable] = {}
    if cost is not None:
        if not isinstance(cost, Variable):
            raise TypeError(f"grad: cost must be a symbolic variable, got {cost!r}")
        if cost.ndim != 0:
            repair = "take .mean() or .sum() of it"
            raise TypeMismatchError(located(f"grad: cost must be a scalar, got {cost.ndim} axes", [cost], repair))
        if cost.dtype == BRAIN:
            cost = wide(cost)
        if is_complex(cost.dtype):
            repair = "differentiate a real function of it, such as abs(cost) or real(cost)"
            raise DTypeError(located("grad: cost must be real", [cost], repair))
        seeds[cost] = ones_like(cost, cost.dtype if is_float(cost.dtype) else config.floatX)
    elif not known:
        raise ValueError("grad: cost may be None only when known_grads is given")
    for variable, g in (known or {}).items():
        if isinstance(getattr(g, "type", None), DisconnectedType):
            seeds.pop(variable, None)
            continue
        if isinstance(getattr(g, "type", None), NullType):
            raise NullGradError(located(f"grad: the known gradient is undefined: {g.type.why_null}", [variable]))
        if isinstance(variable, Variable) and is_held(variable.dtype):
            g = cast(as_tensor(g), variable.dtype)
            if variable.dtype == BRAIN:
                pairs = zip(real_sources(variable), [wide(g)])
            else:
                pairs = zip(real_sources(variable), (stacked(g),) if variable.owner is None else parts(g))
        else:
            pairs = zip([variable], [g])
        for source, of_source in pairs:
            seeds[source] = _known_gradient(source, of_source)
    return seeds


def _known_gradient(variable: Any, g: Any) -> Variable:
    if not isinstance(variable, Variable):
        raise TypeError(f"grad: the keys of known_grads must be symbolic variables, got {variable!r}")
    g = as_tensor(g)
    if g.ndim == 0 and variable.ndim:
        g = fill(variable, g)
    if g.ndim != variable.ndim:
        raise TypeMismatchError(located("grad: a known gradient must have as many axes as its variable", [variable, g]))
    if is_float(variable.dtype):
        return cast(g, variable.dtype)
    if not is_float(g.dtype):
        raise DTypeError(located("grad: a known gradient must be a float", [variable, g], "cast it to floatX"))
    return g


def _disconnected_message(target: Variable, cost: Variable | None, known: Iterable[Variable]) -> str:
    text, shown = "grad: the cost (operand 1) does not depend on operand 0", [target, cost]
    if cost is None:
        text, shown = "grad: nothing that has a known gradient depends on operand 0", [target, *known]
    return located(text, shown, "leave it out of wrt, or pass disconnected_inputs='ignore' to get zeros")


def _result(target: Variable, walk: Accumulation, stand_in: str) -> Variable | None:
    if target not in walk.connected and stand_in != "zero":
        return disconnected_type() if stand_in == "disconnected" else None
    found = walk.gradient(target)
    if found is None:
        return zero_gradient(target)
    ones = [k for k, (own, new) in enumerate(zip(target.broadcastable, found.broadcastable)) if own and not new]
    return addbroadcast(found, *ones) if ones else found  # those that follow from a check at call time alone


def zero_gradient(x: Variable) -> Variable:
    """Zeros of the shape and dtype of ``x``, or of dtype floatX if ``x`` is not a float."""
    return zeros_like(x, x.dtype if is_float(x.dtype) else config.floatX)


def _name(cost: str, targets: Sequence[Variable], results: Sequence[Any]) -> None:
    for target, result in zip(targets, results):
        absent = result is None or isinstance(result.type, (NullType, DisconnectedType))
        if not absent and result.name is None and target.name and result is not target:
            result.name = f"(d{cost}/d{target.name})"


explain_faults(globals())
