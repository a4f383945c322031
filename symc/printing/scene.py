"""The contents of a picture of a graph before layout: boxes, arrows and clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symc.compiler.fusion import FusionGroup, nodes_of
from symc.compiler.passes import PASSES
from symc.graph import Apply, Constant, SharedVariable, Variable, toposort
from symc.graph.dims import show
from symc.graph.op import Axes, Indexed, LibraryCall, Loops, Pointwise, Reduction, View
from symc.printing import stages
from symc.printing.tree import enlarges, label, op_text

__all__ = ["KINDS", "Box", "Scene", "scene_of"]

KINDS: dict[str, tuple[str, str, str]] = {
    "input": ("#dcefdc", "#4c8c4a", "input"),
    "shared": ("#fbe9c6", "#b98200", "shared variable"),
    "constant": ("#eeeeee", "#8a8a8a", "constant"),
    "pointwise": ("#d9e8fb", "#3b73b9", "elementwise"),
    "reduction": ("#fddccb", "#c8572b", "reduction"),
    "library": ("#e9dbf5", "#7d4bab", "library call"),
    "moving": ("#d5eeee", "#2f8585", "moves or reads elements"),
    "composite": ("#fbd9e6", "#b93b73", "composite"),
}
"""Fill, border and legend of each kind of box."""
_KIND_OF = {Pointwise: "pointwise", Reduction: "reduction", LibraryCall: "library"} | dict.fromkeys(
    (Axes, Indexed, View, Loops), "moving"
)


@dataclass
class Box:
    """A node of the picture: ``lines`` is the text inside, ``note`` the tooltip."""

    key: int
    kind: str
    lines: tuple[str, str]
    note: str
    output: bool = False


@dataclass
class Scene:
    """Boxes, arrows and clusters. ``clusters`` holds title, note and boxes of each unit of work.

    Boxes are identified by the addresses of the objects they show; ``alive`` keeps these objects alive.
    """

    title: str
    boxes: dict[int, Box] = field(default_factory=dict)
    arrows: dict[tuple[int, int], None] = field(default_factory=dict)
    clusters: list[tuple[str, str, list[int]]] = field(default_factory=list)
    alive: Any = None


def scene_of(obj: Any) -> Scene:
    """Build the scene of expressions, or of a function after fusion."""
    outputs = stages.expressions(obj)
    if not isinstance(obj, stages.Function):
        return _graph_scene(outputs, "graph of " + ", ".join(v.name or label(v) for v in outputs[:4]))
    state = stages.state_after(obj, PASSES[-1].__name__)
    names = {k: f"next value of {label(s)}" for k, s in stages.update_targets(obj).items()}
    for k, v in enumerate(outputs):
        names.setdefault(k, v.name or f"output {k}")
    scene = _graph_scene(list(state.graph), f"{obj.name}: {len(state.units)} units of work", names)
    assert state.specialised is not None
    for leaf, source in state.specialised.sources.items():
        if isinstance(leaf, SharedVariable) and id(source) in scene.boxes:
            box = scene.boxes[id(source)]
            box.kind, box.lines, box.note = "shared", (label(leaf), box.lines[1]), _note(leaf, KINDS["shared"][2])
    _cluster(scene, state.units)
    scene.alive = state
    return scene


def _graph_scene(outputs: Sequence[Variable], title: str, names: Mapping[int, str] | None = None) -> Scene:
    scene = Scene(title)
    shown = {id(v): (names or {}).get(k, v.name or "") for k, v in reversed(list(enumerate(outputs)))}
    for node in toposort(outputs):
        if enlarges(node) and id(node.outputs[0]) not in shown:
            continue
        fixed = [_scalar(_behind(v)) for v in node.inputs]
        key = id(node)
        scene.boxes[key] = _op_box(node, fixed, shown)
        for v, value in zip(node.inputs, fixed):
            if value is None:
                _arrow(scene, _behind(v), key)
    for v in outputs:
        if v.owner is None:
            _leaf(scene, v)
    return scene


def _behind(v: Variable) -> Variable:
    while v.owner is not None and enlarges(v.owner):
        v = v.owner.inputs[0]
    return v


def _scalar(v: Variable) -> str | None:
    """The text of a constant of one element, else None."""
    if not isinstance(v, Constant) or v.data.size != 1:
        return None
    value = v.data.reshape(())[()]
    return f"{value:.4g}" if v.data.dtype.kind == "f" else str(value)


def _arrow(scene: Scene, v: Variable, target: int) -> None:
    source = id(v.owner) if v.owner is not None else _leaf(scene, v)
    scene.arrows[source, target] = None


def _leaf(scene: Scene, v: Variable) -> int:
    kind = "constant" if isinstance(v, Constant) else "shared" if isinstance(v, SharedVariable) else "input"
    if id(v) not in scene.boxes:
        scene.boxes[id(v)] = Box(id(v), kind, (label(v), str(v.type)), _note(v, KINDS[kind][2]))
    return id(v)


def _op_box(node: Apply, fixed: Sequence[str | None], shown: Mapping[int, str]) -> Box:
    v = node.outputs[0]
    record = node.op.record
    kind = _KIND_OF.get(type(record.lower), "composite")
    name = node.op.name
    if any(fixed):
        name += f"({', '.join(f or '·' for f in fixed)})"
    results = [shown[id(o)] for o in node.outputs if id(o) in shown]
    title = next((r for r in results if r), v.name or "")
    first = f"{title} = {name}" if title else name
    return Box(id(node), kind, (first, str(v.type)), _note(v, KINDS[kind][2]), bool(results))


def _note(v: Variable, kind: str) -> str:
    parts = [op_text(v.owner.op) if v.owner is not None else label(v), f"type: {v.type}", f"kind: {kind}"]
    if isinstance(v, SharedVariable):
        parts.append(f"shape of its value: {v.storage.shape}")
    if v.name and v.owner is not None:
        parts.insert(1, f"name: {v.name}")
    if v.location is not None:
        parts.append(f"made at {v.location}")
    return "\n".join(parts)


def _cluster(scene: Scene, units: Sequence[Any]) -> None:
    """Group the boxes of each fusion group; inputs behind transposes and broadcasts are grouped with their readers."""
    for number, unit in enumerate(units):
        nodes = nodes_of(unit)[::-1]
        members = [id(node) for node in nodes if id(node) in scene.boxes]
        if not members:
            continue
        if isinstance(unit, FusionGroup):
            axes = " x ".join(show(a) for a in unit.axes) or "1"
            title, note = f"loops over {axes}", f"{len(unit.members)} ops in one loop nest"
            if unit.call is not None:
                title, note = "library call with an epilogue", f"{op_text(unit.call.op)}; {note}"
        else:
            lower = type(unit.op.record.lower)
            title = "library call" if lower is LibraryCall else "view" if lower is View else "loops"
            note = op_text(unit.op)
        scene.clusters.append((f"{number}: {title}", note, members))
        for key in members:
            scene.boxes[key].note += f"\nin unit {number}: {title}"
