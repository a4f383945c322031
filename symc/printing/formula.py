"""``pp``: expressions in infix notation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.notation import ATOM, NEGATED, Text
from symc.printing.tree import attributes, enlarges, label

__all__ = ["pp", "pprint"]

LONG = 400
"""Length above which a subexpression gets a name."""
SHORT = 16
"""Repeated subexpressions up to this length are written out again instead of named."""


def pp(expression: Variable) -> str:
    """Format an expression in infix notation.

    Subexpressions that occur more than once, and very long ones, get names, which are defined on separate lines below
    the formula, so that the text is as small as the graph. Broadcasting is omitted.

    Parameters
    ----------
    expression : Variable

    Returns
    -------
    str

    Examples
    --------
    >>> import symc.tensor as T
    >>> x, y = T.vectors("x", "y")
    >>> pp((x + y) * T.exp(-x) ** 2)
    '(x + y) * exp(-x) ** 2'
    """
    if not isinstance(expression, Variable):
        raise TypeError(f"pp: expected a symbolic variable, got {type(expression).__name__}: {expression!r}")
    nodes = toposort([expression])
    uses = Counter(v for node in nodes for v in _written_inputs(node))
    text: dict[Variable, Text] = {}
    named: list[tuple[str, str]] = []
    for node in nodes:
        for v in node.outputs:
            made = _written(node, v, [_text(u, text) for u in _written_inputs(node)])
            often = uses[v] > 1 and len(made[0]) > SHORT
            if v is not expression and not enlarges(node) and (often or len(made[0]) > LONG):
                name = v.name or f"t{len(named) + 1}"
                named.append((name, made[0]))
                made = (name, ATOM)
            text[v] = made
    lines = [_text(expression, text)[0]]
    lines += [f"  where {name} = {value}" for name, value in reversed(named)]
    return "\n".join(lines)


pprint = pp


def _written_inputs(node: Apply) -> Sequence[Variable]:
    return node.inputs[:1] if enlarges(node) else node.inputs


def _text(v: Variable, known: dict[Variable, Text]) -> Text:
    found = known.get(v)
    if found is not None:
        return found
    if isinstance(v, Constant) and v.ndim == 0:
        written = f"{v.data:.6g}" if v.data.dtype.kind == "f" else str(v.data)
        return written, NEGATED if written.startswith("-") else ATOM
    return label(v), ATOM


def _written(node: Apply, v: Variable, args: list[Text]) -> Text:
    if enlarges(node):
        return args[0]
    if node.op.record.formula is not None:
        return node.op.record.formula(node.op, args)
    output = "" if len(node.outputs) == 1 else f"[{v.index}]"
    return f"{node.op.name}({', '.join([*(a[0] for a in args), *_extras(node)])}){output}", ATOM


def _extras(node: Apply) -> list[str]:
    """Format attributes as keyword arguments, axes under NumPy's name; a reduction over all axes does not list them."""
    shown = attributes(node.op)
    axes = node.op.attrs.get("axes")
    if axes is not None:
        del shown["axes"]
        if not node.inputs or len(axes) < node.inputs[0].ndim:
            shown = {"axis": str(axes[0]) if len(axes) == 1 else str(axes), **shown}
    return [f"{key}={value}" for key, value in shown.items()]
