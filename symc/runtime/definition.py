"""What a function computes, and how: everything but its compiled code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from symc.compiler.passes import State
from symc.compiler.target import CPU
from symc.config import config
from symc.errors import located
from symc.graph import SharedVariable, Variable
from symc.runtime.arguments import MISSING, In
from symc.runtime.backend import load_backend
from symc.runtime.mode import Mode
from symc.runtime.profile import Profile

__all__ = ["Definition"]


def _never() -> bool:
    return False


class Definition:
    """The expressions of a function and the settings that it is compiled with.

    Attributes
    ----------
    specs : list of In
        The inputs, with defaults, updates and rules of conversion.
    pattern : object
        How a call returns its results: ``"single"``, the length of a list, a list of keys, or None for nothing.
    borrowed : sequence of bool
        Per output, whether the result may stay where it was computed.
    held : sequence of str
        Per output, its dtype if that is of the language alone (complex, bfloat16), else an empty text.
    backend : module
    folds : bool
        Whether scales are folded into stored weights.
    """

    def __init__(
        self,
        specs: list[In],
        outputs: list[Variable],
        pattern: Any,
        updates: list[tuple[SharedVariable, Variable]],
        name: str,
        device: str | None,
        mode: Mode,
        allow_downcast: bool | None,
        profile: bool,
        borrowed: Sequence[bool] = (),
        held: Sequence[str] = (),
    ) -> None:
        self.specs = specs
        self.inputs = [s.variable for s in specs]
        self.outputs = outputs
        self.updates = updates
        self.pattern = pattern
        self.borrowed = borrowed or [False] * len(outputs)
        self.held = list(held)
        self.name = name
        self.mode = mode
        self.allow_downcast = allow_downcast
        self.device, self.backend = load_backend(mode.device or device)
        self.profile = Profile(name) if profile else None
        self.folds = True

    @property
    def all_outputs(self) -> list[Variable]:
        """The outputs, then the new values of shared variables."""
        return [*self.outputs, *[v for _, v in self.updates]]

    @property
    def may_be_short(self) -> bool:
        """Whether there may be code for the lengths of short axes: see ``symc.runtime.short_axes``."""
        depends = bool(getattr(self.backend, "target", CPU).short_row)
        return config.short_axes and depends and self.mode.rewriting == "fast_run"

    def uncompiled(self, long: bool = False, lengths: Mapping[Any, int] | None = None) -> State:
        """The initial state of the compiler's passes; see ``State`` for ``long`` and ``lengths``."""
        first = len(self.outputs)
        updates = [(s, first + k) for k, (s, _) in enumerate(self.updates)]
        target = getattr(self.backend, "target", CPU)
        blocks = config.cpu_precision == "bfloat16" and getattr(self.backend, "multiplies_blocks", _never)()
        return State(
            self.name,
            self.inputs,
            self.all_outputs,
            updates,
            self.mode.rewriting,
            target,
            folds=self.folds,
            blocks=blocks,
            long=long,
            lengths=tuple((lengths or {}).items()),
        )

    def facts(self) -> dict[str, Any]:
        """The arguments of the constructor except ``outputs`` and ``updates``."""
        return {
            "specs": self.specs,
            "pattern": self.pattern,
            "name": self.name,
            "device": self.device,
            "mode": self.mode,
            "allow_downcast": self.allow_downcast,
            "profile": self.profile is not None,
            "borrowed": self.borrowed,
            "held": self.held,
        }

    def bind(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Assign the given values to the inputs; ``MISSING`` among ``args`` marks a value that was not given."""
        places = [k for k, s in enumerate(self.specs) if not s.implicit]
        if len(args) > len(places):
            text = f"{self.name}() takes {len(places)} inputs ({self.signature()}), got {len(args)}"
            raise TypeError(located(text))
        values: list[Any] = [MISSING] * len(self.specs)
        for k, value in zip(places, args):
            values[k] = value
        names = [s.name for s in self.specs]
        for key, value in named.items():
            if key not in names:
                near = get_close_matches(key, [n for n in names if n], 1)
                hint = f"did you mean {near[0]!r}?" if near else f"its inputs are {names}"
                raise TypeError(f"{self.name}() has no input named {key!r}; {hint}")
            k = names.index(key)
            if values[k] is not MISSING:
                raise TypeError(f"{self.name}() got two values for its input {key!r}")
            values[k] = value
        for k, (spec, value) in enumerate(zip(self.specs, values)):
            if value is MISSING:
                if spec.value is None:
                    text = f"{self.name}() misses its input {k}; it takes ({self.signature()})"
                    raise TypeError(
                        located(text, [spec.variable], "give it, or declare a default with In(variable, value=...)")
                    )
                values[k] = spec.value
        return values

    def signature(self) -> str:
        """The names of the inputs."""
        return ", ".join(s.name or repr(s.variable) for s in self.specs)
