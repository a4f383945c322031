"""Values of all steps outside of the loop: those known before it, and those that it must store."""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.scans.batching import at_all_steps
from symc.compiler.scans.loop import Loop, is_arrangement
from symc.compiler.scans.outside import Outside
from symc.graph import Apply, Constant, Variable, clone_with, dims
from symc.graph.op import Op
from symc.graph.types import TensorType
from symc.tensor.basic import constant
from symc.tensor.indices.slices import SLICE_AT, part
from symc.tensor.symbolic_dims import dim_value

__all__ = ["Values", "all_after", "all_before", "first_rows", "in_reverse", "is_first_rows"]


def in_reverse(x: Variable, count: dims.Dim) -> Variable:
    """``x[::-1]``."""
    starts = [dim_value(dims.sub(count, 1)), *([constant(0, dtype="int64")] * (x.ndim - 1))]
    return Op(SLICE_AT, steps=(-1, *([1] * (x.ndim - 1))), shape=x.type.shape)(x, *starts)


def all_before(trajectory: Variable) -> Variable:
    """The values of a state before the steps, as a view of its trajectory."""
    shape = trajectory.type.shape
    return part(trajectory, (dims.sub(shape[0], 1), *shape[1:]), 0)


def all_after(trajectory: Variable) -> Variable:
    """The values of a state after the steps."""
    shape = trajectory.type.shape
    return part(trajectory, (dims.sub(shape[0], 1), *shape[1:]), dims.product(shape[1:]))


def first_rows(x: Variable, count: dims.Dim) -> Variable:
    """``x[:count]``, which must lie within ``x``."""
    starts = [constant(0, dtype="int64")] * x.ndim
    return Op(SLICE_AT, steps=(1,) * x.ndim, shape=(count, *x.type.shape[1:]))(x, *starts)


def is_first_rows(node: Apply, count: dims.Dim) -> bool:
    """Whether ``node`` has the form of ``first_rows``."""
    if node.op.record is not SLICE_AT or any(s != 1 for s in node.op["steps"]):
        return False
    shape, whole = node.outputs[0].type.shape, node.inputs[0].type.shape
    at_start = all(isinstance(s, Constant) and not s.data.any() for s in node.inputs[1:])
    return at_start and dims.equal(shape[0], count) is True and dims.same_shape(shape[1:], whole[1:])


class Values:
    """Values of variables of a step at all steps, in the order of the sequences.

    Those that are only known in the loop are stand-ins until ``write`` has added them to its results.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.outside = Outside(loop)
        self.stand_ins: dict[Variable, Variable] = {}

    def is_known(self, v: Variable) -> bool:
        """Whether using all values stores nothing that is not stored anyway."""
        return (
            self.outside.whole(v) is not None or v in self.stand_ins or v in self.loop.made or self._kept(v) is not None
        )

    def _kept(self, v: Variable) -> tuple[int, bool] | None:
        """The state whose trajectory has the values, and whether they are those after the steps."""
        for k, state in enumerate(self.loop.states):
            if state.keep and v in (state.inner, state.after):
                return k, v is state.after and v is not state.inner
        return None

    def stored(self) -> list[Variable]:
        """The variables whose values the loop has to store in addition."""
        return [v for v in self.stand_ins if self._kept(v) is None and v not in self.loop.made]

    def of(self, v: Variable) -> Variable:
        """All values of ``v``."""
        value = self.outside.whole(v)
        if value is None:
            value = self.stand_ins.get(v)
        if value is None and v.owner is not None and is_arrangement(v.owner) and not self.is_known(v):
            made = at_all_steps(v.owner, [self.of(v.owner.inputs[0])], [True], self.loop.count)
            value = None if made is None else made[0]
        if value is None:
            value = self.stand_ins[v] = Variable(TensorType(v.dtype, (self.loop.count, *v.type.shape)), None, 0, v.name)
        return value

    def write(self, results: Sequence[Variable]) -> tuple[list[Variable], list[Variable]]:
        """Apply the op again, and put its results in the place of the stand-ins in ``results``.

        Returns
        -------
        outputs, results : list of Variable
            The outputs of the loop as it was before values were added to it, and ``results``.
        """
        loop, count = self.loop, len(self.loop.made)
        positions = {v: loop.stack(v) for v in self.stand_ins if self._kept(v) is None}
        made = loop.write() if loop.states or loop.made else ()
        known: dict[Variable, Variable] = {}
        for v, stand_in in self.stand_ins.items():
            kept = self._kept(v)
            if kept is None:
                known[stand_in] = made[len(loop.states) + positions[v]]
            else:
                values = (all_after if kept[1] else all_before)(made[kept[0]])
                known[stand_in] = in_reverse(values, loop.count) if loop.backwards else values
        return list(made[: len(loop.states) + count]), clone_with(results, known)
