"""The compiler's intermediate results, by stage, for a function or for expressions."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from symc.compiler.passes import PASSES, State
from symc.graph import Apply, SharedVariable, Variable, graph_inputs, is_input
from symc.graph.test_values import building_inside
from symc.runtime.backend import load_backend
from symc.runtime.function import Function
from symc.runtime.mode import get_default_mode

__all__ = ["STAGES", "expressions", "state_after", "text_of"]

STAGES: dict[str, str] = {
    "graph": "",
    "specialised": "specialise_shapes",
    "canonical": "rewrite_canonical",
    "stable": "rewrite_stable",
    "decomposed": "decompose_composites",
    "special": "rewrite_special",
    "rewritten": "rewrite_special",
    "folded": "fold_parameters",
    "fused": "fuse_loops",
    "loops": "lower_loops",
    "c": "emit",
    "cuda": "emit",
    "text": "emit",
}
"""Short names of stages. The name of any pass in ``symc.compiler.passes.PASSES`` is accepted as well."""


def stage_name(stage: str) -> str:
    """The full name of a stage: that of a pass, ``""`` for the user's graph, ``"emit"`` for the back end's text.

    Raises
    ------
    ValueError
        If there is no such stage.
    """
    names = [p.__name__ for p in PASSES]
    found = STAGES.get(stage, stage)
    if found in ("", "emit", *names):
        return found
    near = get_close_matches(stage, [*STAGES, *names], 1)
    raise ValueError(
        f"there is no stage {stage!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        + f" Stages are {', '.join(STAGES)}, and the passes {', '.join(names)}"
    )  # fmt: skip


def expressions(obj: Any) -> list[Variable]:
    """List the variables to show: those given, the outputs of an application, or a function's outputs and updates.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(obj, Function):
        return list(obj.uncompiled().outputs)
    if isinstance(obj, Variable):
        return [obj]
    if isinstance(obj, Apply):
        return list(obj.outputs)
    if isinstance(obj, dict):
        obj = list(obj.values())
    if isinstance(obj, (list, tuple)):
        return [v for part in obj for v in expressions(part)]
    what = f"{type(obj).__name__}: {obj!r}"
    raise TypeError(f"expected a variable, a list of variables or a compiled function, got {what}")


def initial_state(obj: Any) -> State:
    """The initial state of the passes: a function's own expressions, or the given ones as functions of their inputs."""
    if isinstance(obj, Function):
        return obj.uncompiled(obj.mode.runs_whole)
    outputs = expressions(obj)
    return State(
        "expression", [v for v in graph_inputs(outputs) if is_input(v)], outputs, [], get_default_mode().rewriting
    )


def state_after(obj: Any, name: str) -> State:
    """The compiler's state after the pass ``name``, for the current shapes of the shared variables."""
    state = initial_state(obj)
    with building_inside():
        for step in PASSES:
            state = step(state)
            if step.__name__ == name:
                break
    return state


def text_of(obj: Any) -> str:
    """The program text emitted by the back end."""
    if isinstance(obj, Function):
        return obj.specialisation.text or f"(the back end {obj.device!r} writes no text: it runs the loops themselves)"
    _, backend = load_backend()
    program = state_after(obj, PASSES[-1].__name__).program
    assert program is not None
    return backend.emit(program)


def update_targets(obj: Any) -> dict[int, SharedVariable]:
    """Map positions of outputs to the shared variables of which they are the next values."""
    return {k: s for s, k in obj.uncompiled().updates} if isinstance(obj, Function) else {}
