"""Sharing of kernels among groups of the same form: in deep networks and long chains most groups differ only in inputs.

The form of a group is everything that determines its loops: the ops and their connections, types with dims, constants
of one element, iteration maps, and which values are in memory. A second group of the same form gets the same kernels,
bound to its own buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from symc.compiler.fusion import FusionGroup, is_inline
from symc.graph import Constant, Variable
from symc.graph.op import Axes
from symc.loops.ir import Ref, Step

__all__ = ["Form", "Lowered", "form_of"]


@dataclass
class Form:
    """The form of a group: ``key`` is equal for groups of the same form; ``number`` numbers the variables."""

    key: Any
    number: dict[Variable, int]


def form_of(group: FusionGroup, stored: set[Variable]) -> Form:
    """The form of a group; see the module's description."""
    number = {node.outputs[0]: k for k, node in enumerate(reversed(group.members))}
    key: list[Any] = [group.machine, tuple(group.axes), group.inner, group.order]
    for node in reversed(group.members):
        stack = [v for v in node.inputs if v not in number]
        while stack:
            v = stack[-1]
            if v in number:
                stack.pop()
                continue
            owner = v.owner
            read_through = owner is not None and v not in stored and (_is_axes(v) or is_inline(v))
            if read_through:
                assert owner is not None
                missing = [u for u in owner.inputs if u not in number]
                if missing:
                    stack.extend(missing)
                    continue
                key.append((owner.op, *[number[u] for u in owner.inputs], v.index))
            elif isinstance(v, Constant):
                key.append(v.data.tobytes() if v.data.size == 1 else v)
            number[stack.pop()] = len(number)
            key.append((v.type.dtype, v.type.shape))
        value = node.outputs[0]
        key.append((node.op, *[number[v] for v in node.inputs], group.iteration_maps[value], value.type.dtype))
        key.append(value.type.shape)
    key.append(tuple([number[v] for v in group.stored]))
    key.append(tuple([k for v, k in number.items() if v in stored]))
    key.append(tuple([(number[v], placed) for v, placed in group.placed.items()]))
    key.append(tuple([(number[v], terms) for v, terms in group.crossed.items()]))
    return Form(tuple(key), number)


def _is_axes(v: Variable) -> bool:
    return v.owner is not None and isinstance(v.owner.op.record.lower, Axes)


class Lowered:
    """A lowered group whose kernels can be bound again."""

    def __init__(self, form: Form, ref_of: Callable[[Variable], Ref], new_buffer: Callable[..., Ref]) -> None:
        self.steps: Sequence[Step] = ()
        self._form = form
        self._ref_of = ref_of
        self._new_buffer = new_buffer
        self._named: list[tuple[int, Ref]] = []  # (number of the variable, its memory), in the order of requests
        self._made: list[tuple[Ref, str, Sequence[Any]]] = []
        self.sound = True

    def ref_of(self, v: Variable) -> Ref:
        """The function of this name that lowering calls; records its results."""
        found = self._ref_of(v)
        number = self._form.number.get(v)
        if number is None:
            self.sound = False  # not part of the form: the kernel cannot be bound to another group
        else:
            self._named.append((number, found))
        return found

    def new_buffer(self, dtype: str, shape: Sequence[Any]) -> Ref:
        """The function of this name that lowering calls; records its results."""
        found = self._new_buffer(dtype, shape)
        self._made.append((found, dtype, shape))
        return found

    def close(self, steps: Sequence[Step]) -> None:
        """Finish recording: keep the steps, and drop references to the graph."""
        self.steps = tuple(steps)
        self._named = list(dict.fromkeys(self._named))
        self._form, self._ref_of, self._new_buffer = Form(None, {}), _gone, _gone

    def bind(
        self, form: Form, locations: Sequence[Any], ref_of: Callable[[Variable], Ref], new_buffer: Callable[..., Ref]
    ) -> list[Step] | None:
        """Bind the steps to another group's buffers; None if aliases among the buffers differ."""
        variables = list(form.number)
        to: dict[Ref, Ref] = {}
        back: dict[Ref, Ref] = {}
        for number, ref in self._named:
            mine = ref_of(variables[number])
            if to.setdefault(ref, mine) != mine or back.setdefault(mine, ref) != ref:
                return None
        for ref, dtype, shape in self._made:
            to[ref] = new_buffer(dtype, shape)
        lines = tuple(dict.fromkeys(t for t in locations if t))
        return [Step(s.kernel, tuple([to[r] for r in s.refs]), s.dims, lines) for s in self.steps]


def _gone(*_: Any) -> Ref:
    raise AssertionError("lowering is done")
