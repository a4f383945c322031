"""``debugprint``: graphs as trees, and the later stages of the compiler in suitable forms."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

from symc.compiler.fusion import FusionGroup, nodes_of
from symc.errors import SourceLocation
from symc.graph import Apply, Constant, SharedVariable, Variable
from symc.graph.dims import show
from symc.graph.op import Axes, Op
from symc.printing import stages
from symc.printing.loops import program_text

__all__ = ["attributes", "debugprint", "enlarges", "label", "op_text", "place"]

MAX_INDENT = 40
"""Levels drawn with bars; deeper levels print their depth as a number, so that a long chain prints in linear space."""


def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = True,
    file: Any = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    stage: str | None = None,
    print_lines: bool = True,
    done: dict[Any, int] | None = None,
    used_ids: dict[Any, int] | None = None,
) -> Any:
    """Print a graph, or a stage of its compilation.

    Parameters
    ----------
    obj : Variable, Apply, sequence or dict of Variable, or Function
    depth : int
        Levels to print; -1 for all.
    print_type : bool
        Print the type of every variable.
    file : file object or "str", optional
        Where to print; default standard output. ``"str"`` returns the text.
    ids : {"CHAR", "int", ""}
        Format of labels: ``[id A]``, ``[id 0]``, or no labels.
    stop_on_name : bool
        Do not print what named variables depend on.
    stage : str, optional
        ``"graph"`` (as the user built it; the default), ``"specialised"``, ``"canonical"``, ``"stable"``,
        ``"decomposed"``, ``"special"``, ``"fused"``, ``"loops"``, ``"c"`` or ``"cuda"`` (the back end's text), or the
        name of a pass of ``symc.compiler.passes.PASSES``. Stages later than the graph are compiled for the current
        shapes of the shared variables.
    print_lines : bool
        Print the source location of each variable.
    done, used_ids : dict, optional
        The labels assigned so far, which are added to. If one dict is given to several calls, a variable has one label
        in all of them, and is printed in full once.

    Returns
    -------
    str, or ``file``

    Notes
    -----
    A variable that is used more than once is printed in full the first time, and by its label afterwards.
    """
    if ids not in ("CHAR", "int", ""):
        raise ValueError(f"debugprint: ids must be 'CHAR', 'int' or '', got {ids!r}")
    known = done if done is not None else used_ids
    style = _Style(depth, print_type, ids, stop_on_name, print_lines, {} if known is None else known)
    lines = _lines(obj, stages.stage_name(stage or "graph"), style)
    if isinstance(file, str):
        if file != "str":
            raise ValueError(f"debugprint: file must be an open file, None or 'str', got {file!r}")
        return "\n".join(lines) + "\n"
    target: IO[str] = file or sys.stdout
    for line in lines:
        target.write(line + "\n")
    return target


class _Style:
    """Print options, and the labels assigned so far."""

    def __init__(
        self, depth: int, types: bool, ids: str, stop_on_name: bool, lines: bool, numbers: dict[Any, int]
    ) -> None:
        self.depth = depth
        self.types = types
        self.ids = ids
        self.stop_on_name = stop_on_name
        self.lines = lines
        self.numbers = numbers

    def id(self, v: Variable) -> str:
        """The label of a variable; results of one application share its number."""
        key = v.owner if v.owner is not None else v
        number = self.numbers.setdefault(key, len(self.numbers))
        if not self.ids:
            return ""
        return f" [id {letters(number) if self.ids == 'CHAR' else number}]"

    def describe(self, v: Variable) -> str:
        text = label(v) + self.id(v)
        if self.types:
            text += f" {v.type}"
        if v.owner is not None and v.name:
            text += f" '{v.name}'"
        if self.lines and v.location is not None and v.owner is not None:
            text += f"  # {place(v.location)}"
        return text


def _lines(obj: Any, stage: str, style: _Style) -> Iterator[str]:
    if stage == "emit":
        yield from stages.text_of(obj).splitlines()
        return
    targets = stages.update_targets(obj)
    if not stage:
        yield from _forest(stages.expressions(obj), targets, style)
        return
    state = stages.state_after(obj, stage)
    if state.program is not None:
        yield from program_text(state.program)
    elif state.units:
        yield from _units(state.units, state.stored, style)
    else:
        yield from _forest(state.graph, targets, style)


def _forest(outputs: Sequence[Variable], targets: dict[int, SharedVariable], style: _Style) -> Iterator[str]:
    for k, v in enumerate(outputs):
        if k in targets:
            yield f"update of {label(targets[k])}:"
        yield from _tree(v, style)


def _tree(root: Variable, style: _Style) -> Iterator[str]:
    """The lines of one tree, depth first: ``prefix`` precedes a line, ``below`` the lines of its inputs."""
    stack: list[tuple[Variable, int, str, str]] = [(root, 0, "", "")]
    while stack:
        v, level, prefix, below = stack.pop()
        met = v.owner is not None and v.owner in style.numbers
        mark = f"{level}: " if level > MAX_INDENT else ""
        yield prefix + mark + style.describe(v)
        if v.owner is None or not v.owner.inputs:
            continue
        closed = style.stop_on_name and v.name is not None and level > 0
        if met or closed or level == style.depth - 1:
            yield f"{below} └─ ···"
            continue
        inputs = v.owner.inputs
        deep = level >= MAX_INDENT
        for k in range(len(inputs) - 1, -1, -1):
            last = k == len(inputs) - 1
            bar = below + (" └─ " if last else " ├─ ")
            stack.append((inputs[k], level + 1, bar, below if deep else below + ("    " if last else " │  ")))


def _units(units: Sequence[Any], stored: set[Variable], style: _Style) -> Iterator[str]:
    """Format the units of work: each with its members, inputs by label."""
    for number, unit in enumerate(units):
        if isinstance(unit, FusionGroup):
            title = "loops" if unit.call is None else "library call with an epilogue"
            yield f"{number}: {title} over {_axes(unit)}"
            for node in reversed(nodes_of(unit)):
                yield "    " + _member(node, stored, style)
        else:
            lower = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(unit.op.record.lower).__name__).lower()
            yield f"{number}: {lower}"
            yield "    " + _member(unit, stored | set(unit.outputs), style)


def _axes(group: FusionGroup) -> str:
    outer = " x ".join(show(group.axes[a]) for a in group.outer) or "1"
    if group.inner is None:
        return outer
    return f"{outer}, reducing over {' x '.join(show(group.axes[a]) for a in group.inner)}"


def _read(v: Variable, stored: set[Variable], style: _Style) -> str:
    """Format an operand; broadcasts and transposes, which have no line of their own, are written around it."""
    around: list[str] = []
    while v.owner is not None and v not in stored and isinstance(v.owner.op.record.lower, Axes):
        around.append(v.owner.op.name)
        v = v.owner.inputs[0]
    return "".join(f"{name}(" for name in around) + label(v) + style.id(v) + ")" * len(around)


def _member(node: Apply, stored: set[Variable], style: _Style) -> str:
    args = ", ".join(_read(v, stored, style) for v in node.inputs)
    v = node.outputs[0]
    text = f"{style.id(v).strip()} = {op_text(node.op)}({args})" + (f"  {v.type}" if style.types else "")
    if v in stored:
        text += "  stored"
    if style.lines and v.location is not None:
        text += f"  # {place(v.location)}"
    return text


def enlarges(node: Apply) -> bool:
    """Is all the op does to make its first input as large as another tensor? Formulas and pictures leave it out."""
    return node.op.record.enlarges is not None and node.op.record.enlarges(node.op)


def label(v: Variable) -> str:
    """Describe a variable briefly: the op that computes it with its attributes, its name, or its value."""
    if v.owner is not None:
        output = "" if len(v.owner.outputs) == 1 else f".{v.index}"
        return f"{op_text(v.owner.op)}{output}"
    if isinstance(v, Constant):
        value = repr(v) if v.data.size <= 4 else f"<constant {v.type}>"
        return f"{v.name}={value}" if v.name and v.data.size <= 4 else value
    if isinstance(v, SharedVariable):
        return v.name or "<shared>"
    return v.name or "<input>"


def attributes(op: Op) -> dict[str, str]:
    """The informative attributes of an op, as text; symbolic dims by their plain names. A title includes them."""
    if op.record.title is not None:
        return {}
    return {key: show(repr(value)) for key, value in op.attrs.items() if value is not None and value is not False}


def op_text(op: Op) -> str:
    """Format an op with its attributes."""
    inner = ", ".join(f"{key}={value}" for key, value in attributes(op).items())
    return f"{op.name}{{{inner}}}" if inner else op.name


def letters(number: int) -> str:
    """Convert 0, 1, ... to A, B, ..., Z, AA, AB, ..."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def place(location: SourceLocation) -> str:
    """Format a source location briefly: file name and line number."""
    return f"{os.path.basename(location.filename)}:{location.line}"
