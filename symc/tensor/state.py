"""Updates attached to expressions: ``carry_updates``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symc.graph import SharedVariable, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.gradient_flow import Reach
from symc.graph.op import Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor

__all__ = ["carry_updates"]

CARRY_UPDATES = record(
    "carry_updates",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x, *values: x,
    grad=lambda op, inputs, outputs, gs: [op(gs[0], *inputs[1:]), *[None] * (len(inputs) - 1)],
    reach=Reach(lambda op, inputs, outputs, counts: [counts], one_to_one=True),
    linear="jointly",
    carries_updates=True,
    specialise=lambda op, inputs, types: inputs[0],
)


def carry_updates(x: Any, updates: Mapping[SharedVariable, Any]) -> Variable:
    """Return ``x`` with attached updates, which every function that depends on it or on its gradients applies.

    For example, running averages are attached to the expression they average. An explicit update of the same shared
    variable in ``symc.function`` takes precedence.
    """
    for target in updates:
        if not isinstance(target, SharedVariable):
            raise TypeError(f"carry_updates: updates must be of shared variables, got {target!r}")
    values = [as_tensor(v) for v in updates.values()]
    return Op(CARRY_UPDATES, targets=tuple(updates))(as_tensor(x), *values)


explain_faults(globals())
