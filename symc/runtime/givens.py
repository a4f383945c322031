"""Givens: variables replaced before a function is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.errors import DTypeError, TypeMismatchError, located
from symc.graph import Apply, SharedVariable, Variable, ancestors, clone_with
from symc.graph.dtypes import is_complex, is_float, is_held
from symc.graph.op import Pointwise
from symc.graph.types import TensorType
from symc.runtime.arguments import In
from symc.runtime.held_arrays import real_pairs, sources_of, whole
from symc.runtime.updates import Updates, pairs
from symc.tensor.axes import DIMSHUFFLE
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import BROADCAST, broadcast_together
from symc.tensor.complex_numbers.parts import parts
from symc.tensor.elementwise import cast
from symc.tensor.shape_arguments import specify_shape

__all__ = ["cut_at_inputs", "given_pairs", "rebuilt", "replace"]


def given_pairs(givens: Any, strict: bool = True) -> dict[Variable, Variable]:
    """Validate givens, and convert each replacement to the type of the variable it replaces.

    Unless `strict`, a replacement may have another number of axes; then it keeps its shape.

    Pairs are processed in order: earlier pairs are applied to later replacements, so ``[(x, y), (z, x + 1)]`` replaces
    ``z`` by ``y + 1``.

    Raises
    ------
    TypeError
        If a key is not a variable, or a float replaces an integer.
    TypeMismatchError
        If a replacement has a different number of axes.
    ValueError
        If a variable is replaced twice, if a replacement depends on a variable that is replaced later, if that of an
        input depends on the input, or if a known dim differs from a declared one.
    """
    replaced: dict[Variable, Variable] = {}
    seen: set[Variable] = set()
    read: dict[Any, Variable] = {}  # what the replacements so far depend on, and the variables they replace
    for old, new in pairs(givens, "givens"):
        if not isinstance(old, Variable):
            raise TypeError(located(f"function: givens must replace symbolic variables, got {old!r}"))
        if new is old:
            continue
        if old in seen:
            raise ValueError(located(f"function: givens replace {old!r} twice", [old]))
        fitting = real_pairs(old, _fitting_given(old, as_tensor(new), strict))
        sources = [source for source, _ in fitting]
        values = clone_with([value for _, value in fitting], replaced, rebuilt)
        own = any(v.owner is None and not isinstance(v, SharedVariable) for v in sources)
        earlier = dict(read)
        for v in ancestors(values):
            read.setdefault(_identity(v), old)
        users = read if own else earlier  # shared variables and results may be replaced by expressions of themselves
        user = next((users[_identity(v)] for v in sources if _identity(v) in users), None)
        if user is not None:
            text = f"function: givens replace {old!r}, but the replacement of {user!r} depends on it"
            repair = "a replacement may depend on variables that are replaced before it, not on later ones"
            raise ValueError(located(text, [old, user], repair))
        replaced.update(zip(sources, values))
        seen.add(old)
    return replaced


def _identity(v: Variable) -> Any:
    """Return a key that is equal for a shared variable and its clones."""
    return id(v.storage) if isinstance(v, SharedVariable) else v


def _fitting_given(old: Variable, new: Variable, strict: bool) -> Variable:
    if new.ndim != old.ndim and strict:
        text = f"function: givens replace {old!r}, of {old.ndim} axes, by an expression of {new.ndim} axes"
        repair = "reshape, reduce or index the expression, or pass rebuild_strict=False"
        raise TypeMismatchError(located(text, [old, new], repair))
    if new.dtype != old.dtype:
        if is_float(new.dtype) and not is_float(old.dtype):
            text = f"function: givens replace {old!r}, of dtype {old.dtype}, by an expression of dtype {new.dtype}"
            raise DTypeError(located(text, [old, new], f"cast it: symc.tensor.cast(value, {old.dtype!r})"))
        new = cast(new, old.dtype)
    if "_any_shape" in new.__dict__ or new.ndim != old.ndim:  # the first: given for a result, see symc.compat
        return new
    return specify_shape(new, old.static_shape, f"givens: the replacement of {old!r}")


def replace(
    variables: Sequence[Variable], updates: Updates, replaced: Mapping[Variable, Variable]
) -> tuple[list[Variable], Updates]:
    """Apply givens to outputs and updates."""
    if not replaced:
        return list(variables), updates
    cloned = clone_with([*variables, *[v for _, v in updates]], replaced, rebuilt)
    count = len(variables)
    return cloned[:count], [(s, v) for (s, _), v in zip(updates, cloned[count:])]


def cut_at_inputs(specs: Sequence[In]) -> dict[Variable, Variable]:
    """Give inputs that are results of ops variables of their own; return these by the results they replace.

    The lengths of a result follow from what it was computed from, ``x[1:]`` has one element less than ``x``. Those of
    an argument that is given in its place are its own.

    Raises
    ------
    ValueError
        If a complex result shares a part with what it was computed from, as a conjugate does, or with another input.
    """
    own: dict[Variable, Variable] = {}
    for spec in specs:
        v = spec.variable
        if v.owner is None:
            continue
        spec.variable = Variable(TensorType(v.dtype, v.static_shape), None, 0, v.name, v.location)
        if "_mentioned" in v.__dict__:  # see check_inputs
            spec.variable.__dict__["_mentioned"] = True
        if is_held(v.dtype):
            _require_own_parts(v, own)
            own.update(real_pairs(v, spec.variable))
        own[v] = spec.variable
    return own


def _require_own_parts(v: Variable, others: Mapping[Variable, Variable]) -> None:
    """Require that the variables of which ``v`` is made can be replaced without replacing more than ``v``."""
    found = sources_of(v)
    if len({*found}) < len(found) or any(x in others or _is_of_input(x) for x in found):
        text = f"function: the input {v!r} is computed from other variables, and shares a part with one of them"
        raise ValueError(located(text, [v], "make the other variables inputs"))


def _is_of_input(x: Variable) -> bool:
    """Whether ``x`` has no owner, or is the real or imaginary part of a variable that has none."""
    twins = (v for v in ancestors([x]) if v.owner is None)
    return x.owner is None or any(x in parts(whole(v)) for v in twins if is_complex(whole(v).dtype))


def rebuilt(node: Apply, inputs: list[Variable]) -> Sequence[Variable]:
    """Apply the op of ``node`` to other inputs; elementwise ops broadcast those of other numbers of axes again."""
    op, location = node.op, node.outputs[0].location
    if all(new.ndim == old.ndim for new, old in zip(inputs, node.inputs)):
        return op.apply(inputs, location).outputs
    if op.record is BROADCAST:
        return [inputs[0]]  # the elementwise op that reads it broadcasts it again
    if isinstance(op.record.lower, Pointwise):
        inputs = [_without_padding(v) for v in inputs]
        return op.apply(broadcast_together(op.name, inputs), location).outputs
    return op.apply(inputs, location).outputs


def _without_padding(v: Variable) -> Variable:
    """``v`` without axes of length 1 that were inserted before its first one, for the number of axes of others."""
    node = v.owner
    if node is None or node.op.record is not DIMSHUFFLE:
        return v
    x, order = node.inputs[0], [*node.op["order"]]
    return x if order[len(order) - x.ndim :] == list(range(x.ndim)) else v
