"""The compiled code of a function."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from symc.graph import SharedVariable, Variable
from symc.loops.ir import Program
from symc.runtime.backend import Backend
from symc.runtime.definition import Definition
from symc.runtime.kept_plans import planned
from symc.runtime.storage import HOST, Space

__all__ = ["Code"]


class Code:
    """The code of a function for the current shapes of its shared variables.

    Attributes
    ----------
    owner : Definition
    graph : Specialised
        The compiler's graph.
    program : Program
    executable : Executable
        See ``symc.runtime.backend``.
    space : Space
        Where shared variables and results are.
    own : list of SharedVariable
        Those of the function's expressions.
    shared : list of SharedVariable
        Those of the program: ``own``, and others that hold prepared values.
    shared_shapes : tuple
        The shapes of ``own`` that the code was compiled for.
    stages : dict of str to float
        The seconds that each pass took, then those of ``"emit"``, ``"keep"`` (to keep the plan of a large graph) and
        ``"build"`` (the C compiler, or its cache). ``"plan"`` is in place of the passes and ``"emit"`` if the plan was
        kept before.
    """

    def __init__(self, owner: Definition, long: bool = False, lengths: Mapping[Any, int] | None = None) -> None:
        self.owner = owner
        self.stages: dict[str, float] = {}
        self._since = perf_counter()
        backend: Backend = owner.backend
        self.state, self.text = planned(owner.uncompiled(long, lengths), backend, self._took)
        assert self.state.specialised is not None and self.state.program is not None
        self.graph = self.state.specialised
        self.program: Program = self.state.program
        make_space = getattr(backend, "space", None)
        self.space: Space = HOST if make_space is None else make_space()
        code = backend.build(self.text, timed=0 if owner.profile is None else max(len(self.program.steps), 1))
        self._took("build")
        if owner.profile is None:
            self.samples = None
            self.executable = backend.run(code, self.program)
        else:
            self.executable = backend.run(code, self.program, timed=True)
            self.samples = owner.profile.open(self.program, self.executable.times)  # type: ignore[attr-defined]
        self.shared: list[SharedVariable] = []
        sources: dict[int, Variable] = {}
        for leaf, source in self.graph.sources.items():
            if isinstance(leaf, SharedVariable) and id(source) not in sources:
                sources[id(source)] = source
                self.shared.append(leaf)
        self.own = list(self.shared)
        self.shared_shapes = tuple(source.type.shape for source in sources.values())

    def _took(self, stage: str, _: Any = None) -> None:
        """Note that a stage has ended."""
        now = perf_counter()
        self.stages[stage], self._since = now - self._since, now
