"""``vectorize``: a function of expressions, applied to every entry along an axis of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.test_values import known_test_value
from symc.tensor import batching_rules  # noqa: F401 (the rules of ops)
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.batching import batched_graph, inner_type, leading
from symc.tensor.requirements import require_lengths
from symc.tensor.symbolic_dims import shape_i

__all__ = ["vectorize"]

Axes = int | None | Sequence[Any]


def vectorize(fn: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Any]:
    """Turn a function of expressions into one that works on every entry along an axis of its arguments.

    ``vectorize(f)(x)[i]`` equals ``f(x[i])``, but nothing is repeated: the ops of ``f`` become ops on larger tensors,
    products of matrices become batched products. Ops for which this is not possible (loops, branches,
    ops in Python) are repeated by a ``scan`` over the axis.

    Parameters
    ----------
    fn : callable
        Maps variables to a variable, or to a list, tuple or dict of them. What it reads besides its arguments is the
        same for all entries; so are random numbers whose shape does not depend on the arguments.
    in_axes : int, None, or sequence of these
        The axis of each argument along which entries are taken; None for an argument that is the same for all of them.
        One value applies to all arguments.
    out_axes : int, None, or sequence of these
        Where the axis is put in each result; None for a result that does not depend on the entries.

    Returns
    -------
    callable
        Takes as many arguments as ``fn``; keyword arguments are passed on. An argument may be a list or tuple of
        variables, with one entry of ``in_axes`` for all of them, or one each.

    Raises
    ------
    ShapeError
        If an argument has no such axis, or the axes differ in length; lengths known only at call time are checked then.
    ValueError
        If ``in_axes`` or ``out_axes`` do not fit the arguments or results.

    Examples
    --------
    >>> x, w = T.matrix("x"), T.vector("w")
    >>> model = lambda row: T.tanh(T.dot(row, w))
    >>> slopes = symc.vectorize(lambda row: symc.grad(model(row), row))(x)  # one gradient per row
    """

    def vectorized(*args: Any, **named: Any) -> Any:
        axes = _per_argument("in_axes", in_axes, len(args), "arguments")
        leaves: list[Variable] = []
        taken: list[int | None] = []
        for k, (argument, axis) in enumerate(zip(args, axes)):
            for v, a in _leaves(argument, axis, k):
                leaves.append(v)
                taken.append(None if a is None else normalize_axis(a, v.ndim, "vectorize", v))
        moved = [v if a is None else _to_front(v, a) for v, a in zip(leaves, taken)]
        moving = [v for v, a in zip(moved, taken) if a is not None]
        if not moving:
            raise ValueError(
                located("vectorize: every entry of in_axes is None: there is no axis to work along", leaves)
            )
        moving = _of_one_length(moving)
        size = shape_i(moving[0], 0)
        inner = [_entry(v) for v in moving]
        replaced, given = iter(inner), dict(zip(inner, moving))
        values = iter([v if a is None else next(replaced) for v, a in zip(leaves, taken)])
        found = fn(*[_rebuilt(argument, values) for argument in args], **named)
        return _finished(found, given, size, out_axes)

    return vectorized


def _per_argument(what: str, axes: Axes, count: int, of: str) -> list[Any]:
    if not isinstance(axes, (list, tuple)):
        return [axes] * count
    if len(axes) != count:
        raise ValueError(located(f"vectorize: {what} has {len(axes)} entries for {count} {of}"))
    return list(axes)


def _leaves(argument: Any, axis: Any, number: int) -> list[tuple[Variable, int | None]]:
    """The variables of an argument with their axes."""
    if not isinstance(argument, (list, tuple)):
        if isinstance(axis, (list, tuple)):
            raise ValueError(located(f"vectorize: in_axes has several entries for argument {number}, a single one"))
        return [(as_tensor(argument), axis)]
    axes = _per_argument(f"in_axes for argument {number}", axis, len(argument), "variables")
    return [leaf for part, a in zip(argument, axes) for leaf in _leaves(part, a, number)]


def _rebuilt(argument: Any, values: Any) -> Any:
    """An argument of the same structure with other variables."""
    if isinstance(argument, (list, tuple)):
        return type(argument)([_rebuilt(part, values) for part in argument])
    return next(values)


def _to_front(v: Variable, axis: int) -> Variable:
    return v if axis == 0 else dimshuffle(v, [axis, *[k for k in range(v.ndim) if k != axis]])


def _entry(v: Variable) -> Variable:
    """A variable that stands for the entries, with the first one as test value."""
    made = Variable(inner_type(v), None, 0, v.name)
    known = known_test_value(v)
    if known is not None and len(known):
        made.tag.test_value = known[0]
    return made


def _of_one_length(moving: list[Variable]) -> list[Variable]:
    first = moving[0]
    for v in moving[1:]:
        a, b = first.type.shape[0], v.type.shape[0]
        if type(a) is int and type(b) is int and a != b:
            raise ShapeError(located(f"vectorize: the arguments have {a} and {b} entries", [first, v]))
    text = "vectorize: arguments differ in their numbers of entries"
    pairs = [(shape_i(first, 0), shape_i(v, 0), text) for v in moving[1:]]
    return [require_lengths(first, pairs, "take entries along axes of one length"), *moving[1:]] if pairs else moving


def _finished(found: Any, given: Mapping[Variable, Variable], size: Any, out_axes: Axes) -> Any:
    """Compute the results for all entries, in the structure in which ``fn`` returned them."""
    if isinstance(found, Mapping):
        return dict(zip(found, _finished(list(found.values()), given, size, out_axes)))
    outputs = [as_tensor(v) for v in (found if isinstance(found, (list, tuple)) else [found])]
    axes = _per_argument("out_axes", out_axes, len(outputs), "results")
    results = []
    for number, ((v, has_axis), axis) in enumerate(zip(batched_graph(outputs, given, size), axes)):
        if axis is None:
            if has_axis:
                text = f"vectorize: result {number} depends on the entries, but its out_axes is None"
                raise ValueError(located(text, [outputs[number]]))
            results.append(v)
            continue
        whole = v if has_axis else leading(v, size)
        place = normalize_axis(axis, whole.ndim, "vectorize", whole)
        rest = list(range(1, whole.ndim))
        results.append(dimshuffle(whole, [*rest[:place], 0, *rest[place:]]) if place else whole)
    if isinstance(found, (list, tuple)):
        return tuple(results) if isinstance(found, tuple) else results
    return results[0]
