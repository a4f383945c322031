"""``function``: compile expressions into a callable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from symc.compiler.shape_specialisation import only_shared_values_disagree
from symc.config import config
from symc.errors import GuardError, ShapeError
from symc.gradient.gradient_check import compile_with
from symc.graph import SharedVariable, Variable
from symc.graph.collector import uncollected
from symc.graph.guards import errors_come_late
from symc.graph.test_values import building_inside
from symc.runtime import composites
from symc.runtime.arguments import In, Out, check_inputs, flatten_outputs, input_specs
from symc.runtime.contents import Contents, Maker
from symc.runtime.definition import Definition
from symc.runtime.givens import cut_at_inputs, given_pairs, replace
from symc.runtime.held_arrays import as_given, as_held, joined, real_form, sources_of, whole
from symc.runtime.mode import Mode, get_mode
from symc.runtime.replacement import with_shared_swapped
from symc.runtime.specialisation import Specialisation
from symc.runtime.updates import update_pairs, with_default_updates

__all__ = ["Function", "In", "Out", "function"]


CORE_LIMIT = 64
"""The number of combinations of shared variables' shapes for which a function keeps compiled code."""


@uncollected
def function(
    inputs: Sequence[Any],
    outputs: Any = None,
    updates: Any = None,
    givens: Any = None,
    on_unused_input: str | None = None,
    allow_input_downcast: bool | None = None,
    name: str | None = None,
    device: str | None = None,
    mode: str | Mode | None = None,
    profile: bool | None = None,
    no_default_updates: bool | Sequence[SharedVariable] = False,
    accept_inplace: bool = False,
    rebuild_strict: bool = True,
) -> Function:
    """Compile ``outputs`` as a function of ``inputs``.

    Parameters
    ----------
    inputs : sequence of Variable or In
    outputs : Variable, Out, sequence or dict of them, or None
        The call returns arrays in the same structure; with None, nothing (useful with ``updates``).
    updates : mapping or sequence of pairs, optional
        ``{shared variable: its next value}``; all next values are computed from the current ones, and must be of the
        variables' types.
    givens : mapping or sequence of pairs, optional
        Variables to replace before compiling. A replacement may depend on variables replaced before it. That of a
        shared variable or of a result may depend on what it replaces, as in ``{w: w + noise}``.
    on_unused_input : {"raise", "warn", "ignore"}, optional
        What to do about an input of which neither the values nor the shape or type are read.
    allow_input_downcast : bool, optional
        True permits inputs to lose precision or their fraction silently; False refuses any loss, including that of
        float64 arrays passed to float32 inputs. By default only floats may be converted to narrower floats.
    name : str, optional
    device : str, optional
        The back end; default ``symc.config.device``.
    mode : str or Mode, optional
        How to compile and run the function; default ``symc.config.mode``. See :class:`symc.Mode`.
    profile : bool, optional
        Time every kernel; see ``Function.profile``.
    rebuild_strict : bool
        Whether replacements in `givens` must have as many axes as what they replace. If False, the expressions are
        built again from replacements of other shapes, with their broadcasting.
    no_default_updates : bool or sequence of SharedVariable
        Ignore all default updates, or those of the listed variables. Default updates of variables behind an explicit
        input never run.

    Returns
    -------
    Function

    Raises
    ------
    MissingInputError, UnusedInputError, TypeMismatchError, ShapeError, DTypeError
        See each class. Nothing is compiled in these cases.
    """
    if composites.present(inputs, outputs, updates, givens):
        return composites.compiled(
            function, inputs, outputs, updates, givens, on_unused_input=on_unused_input,
            allow_input_downcast=allow_input_downcast, name=name, device=device, mode=mode, profile=profile,
            no_default_updates=no_default_updates,
        )  # fmt: skip
    specs = input_specs(inputs, allow_input_downcast)
    pattern, variables, borrowed = flatten_outputs(outputs)
    kept = [s.update for s in specs if s.update is not None]
    variables, borrowed = [*variables, *kept], [*borrowed, *[False] * len(kept)]
    pairs = update_pairs(updates)
    cut = cut_at_inputs(specs)
    with building_inside():  # the inputs' own variables have no test values
        variables, pairs = replace(variables, pairs, cut)
        replaced = given_pairs(givens, rebuild_strict)
        variables, pairs = replace(variables, pairs, replaced)
        given = frozenset([*cut, *(v for s in specs for v in (s.variable, *sources_of(s.variable)))])
        pairs = with_default_updates(variables, pairs, no_default_updates, replaced, given)
        variables, pairs = replace(variables, pairs, cut)  # also in givens and default updates
    specs, variables, pairs, held_results = real_form(specs, variables, pairs)
    check_inputs(specs, variables, pairs, on_unused_input or config.on_unused_input)
    timed = config.profile if profile is None else profile
    borrowed = [b and not held for b, held in zip(borrowed, held_results)]
    facts = (specs, variables, pattern, pairs, name or "function", device, get_mode(mode))
    return Function(*facts, allow_input_downcast, timed, borrowed, held_results if any(held_results) else ())


class Function(Definition):
    """A compiled function, called with arrays in the order of its inputs, or by name.

    Attributes
    ----------
    inputs, outputs : list of Variable
    name, device : str
    profile : Profile or None
        Where the time goes, if the function was compiled with ``profile=True``: ``print(f.profile.summary())``.
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
        super().__init__(specs, outputs, pattern, updates, name, device, mode, allow_downcast, profile, borrowed, held)
        self._specialisations: dict[Any, Specialisation] = {}
        self._fast: Any = None
        self._launched: Any = None
        self._specialisation: Specialisation | None = None
        try:
            self._specialise()
        except ShapeError as problem:
            # Raised by the call instead, where set_value of a shared variable may have made the shapes fit by then.
            state = self.uncompiled()
            late = problem.op is not None and problem.op.record.checks_late or errors_come_late()
            with building_inside():
                if not late or not only_shared_values_disagree(state.inputs, state.outputs):
                    raise

    @property
    def specialisation(self) -> Specialisation:
        """The code currently in use."""
        return self._specialisation if self._specialisation is not None else self._specialise()

    def _specialise(self) -> Specialisation:
        """Return the code for the current shapes of the shared variables, compiling it if necessary."""
        specialisation = None
        if self._specialisation is not None:
            specialisation = self._specialisations.get(tuple(s.storage.shape for s in self._specialisation.own))
        if specialisation is None:
            start = perf_counter()
            specialisation = Specialisation(self, self._slow, self._preparing, self.mode.runs_whole)
            if len(self._specialisations) >= CORE_LIMIT:
                self._specialisations.clear()
            self._specialisations[specialisation.shared_shapes] = specialisation
            if self.profile is not None:
                self.profile.took(perf_counter() - start, compiling=True)
        self._specialisation = specialisation
        self._take_fast(specialisation)
        return specialisation

    def _take_fast(self, specialisation: Specialisation) -> None:
        """Use the fast path of this code."""
        self._launched = specialisation.call
        self._fast = self._on_held(self._launched) if self.mode.runs_whole else None

    def _on_held(self, fast: Any) -> Any:
        """The fast path of calls with arguments or results of dtypes of the language alone."""
        dtypes = [None if s.declared is None else s.declared.dtype for s in self.specs]
        if fast is None or not self.held and not any(dtypes):
            return fast if fast is None or not isinstance(self.pattern, list) else self._as_dict(fast)

        def call(*args: Any) -> Any:
            given = [
                as_given(a, d) if d and type(a) is np.ndarray and a.dtype.name == d and a.flags.c_contiguous else a
                for a, d in zip(args, dtypes)
            ]
            if len(args) != len(dtypes) or any(a is b and d is not None for a, b, d in zip(args, given, dtypes)):
                return self._call(*args)
            found = fast(*given)
            if not self.held and not isinstance(self.pattern, list) or type(found) is dict:
                return found
            return self._arrange(found if isinstance(found, list) else [found])

        return call

    def _as_dict(self, fast: Any) -> Any:
        """The fast path of calls that return a dict; what the slow path returns in its place is one already."""

        def call(*args: Any) -> Any:
            found = fast(*args)
            return found if type(found) is dict else dict(zip(self.pattern, found))

        return call

    def _unfold(self) -> None:
        """Compile again, without folding scales into stored weights."""
        self.folds = False
        self._specialisations.clear()
        self._specialisation = None

    def _preparing(self, outputs: list[Variable], updates: list[tuple[SharedVariable, Variable]]) -> Function:
        """Compile the preparation of values: a function without inputs, timed as a part of this one."""
        name, timed = f"{self.name}: preparation", self.profile is not None
        made = Function(
            [], outputs, len(outputs), updates, name, self.device, Mode(optimizer=self.mode.rewriting), None, timed
        )
        if self.profile is not None:
            self.profile.preparation = made.profile
        return made

    def fitting(self) -> Specialisation:
        """The code for the current shapes of the shared variables.

        Raises
        ------
        GuardError
            If these contradict each other or what the expressions declare.
        """
        try:
            specialisation = self.specialisation
            return specialisation if specialisation.fits() else self._specialise()
        except ShapeError as problem:
            if type(problem) is not ShapeError:
                raise
            raise GuardError(str(problem)).with_traceback(problem.__traceback__) from None

    def __call__(self, *args: Any, **named: Any) -> Any:
        fast = self._fast
        if fast is not None and not named:
            return fast(*args)
        return self._call(*args, **named)

    def _slow(self, *args: Any) -> Any:
        """What the fast path calls for arguments that it does not know."""
        given = [a if s.declared is None else as_held(a, s.declared.dtype) for a, s in zip(args, self.specs)]
        return self._call(*given, *args[len(given) :])

    def _call(self, *args: Any, **named: Any) -> Any:
        """The slow path of a call: convert, check, plan, run; it prepares the fast path for similar calls."""
        if named.get("output_subset") is not None and not any(s.name == "output_subset" for s in self.specs):
            wanted = named.pop("output_subset")
            found = self._call(*args, **named)
            return {k: found[k] for k in wanted} if isinstance(found, dict) else [found[k] for k in wanted]
        start = perf_counter() if self.profile is not None else 0.0
        results = None
        while results is None:  # until no other thread changes the shape of a shared variable in between
            specialisation = self.fitting()
            arrays = [self.convert(k, value) for k, value in enumerate(self.bind(args, named))]
            results = self.mode.run(specialisation, arrays)
            if results is None and not specialisation.representable:
                self._unfold()
        if specialisation.call is not self._launched:  # there is code for short axes now
            self._take_fast(specialisation)
        for spec in reversed(self.specs):  # the next values of inputs with an update follow the outputs
            if spec.update is not None:
                value = results.pop()
                spec.value = value if spec.declared is None else as_held(value, spec.declared.dtype)
        if self.profile is not None:
            self.profile.took(perf_counter() - start)
        return self._arrange(results)

    def _arrange(self, results: list[Any]) -> Any:
        if self.pattern is None:
            return None
        if self.held:
            results = joined(results, self.held)
        if self.pattern == "single":
            return results[0]
        if isinstance(self.pattern, list):
            return dict(zip(self.pattern, results))
        return results

    def convert(self, k: int, value: Any) -> Any:
        """Convert the value of input ``k`` to an array."""
        spec = self.specs[k]
        variable = spec.variable
        if spec.declared is not None:
            return spec.convert(value, f"{self.name}(): input {k} ({spec.name or 'unnamed'})", self.allow_downcast)
        here = self.specialisation.space.given(value)
        if here is not None:
            if here.dtype == variable.dtype and len(here.shape) == variable.ndim:
                return here
            value = here.download()
        if type(value) is np.ndarray and value.dtype == variable.dtype and value.ndim == variable.ndim:
            if value.flags.c_contiguous and value.flags.aligned:
                return value
        return spec.convert(value, f"{self.name}(): input {k} ({variable.name or 'unnamed'})", self.allow_downcast)

    def get_shared(self) -> list[SharedVariable]:
        """List the shared variables that the function reads or updates."""
        return [whole(s) for s in self.specialisation.own]  # type: ignore[misc]

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
        profile: bool | None = None,
    ) -> Function:
        """Copy the function. The copy uses the same shared variables.

        Parameters
        ----------
        share_memory : bool
            Has no effect: each running call has its own working memory. Accepted for old programs.
        swap : mapping, optional
            Maps shared variables that the function uses to their replacements, also as targets of updates.
        delete_updates : bool
            Drop all updates, including those of inputs.
        name, profile : optional
            As in ``symc.function``; those of this function by default.

        Raises
        ------
        TypeError, ValueError
            If ``swap`` names a variable that the function does not use, or a replacement has another type.
        """
        outputs, updates = with_shared_swapped(self.outputs, self.updates, swap or {})
        specs = [s.copy() for s in self.specs]
        facts = self.facts() | {"specs": specs}
        facts |= {"name": name} if name is not None else {}
        facts |= {"profile": profile} if profile is not None else {}
        if delete_updates:
            updates = []
            outputs = outputs[: len(outputs) - sum(s.update is not None for s in specs)]
            facts["borrowed"] = self.borrowed[: len(outputs)]
            facts["held"] = self.held[: len(outputs)]
            for spec in specs:
                spec.update = None
        return Function(outputs=outputs, updates=updates, **facts)

    def __copy__(self) -> Function:
        return self.copy()

    def __getitem__(self, key: Any) -> Any:
        """The value that the function holds for an input with a default or a state, or for a shared variable."""
        return Contents(self)[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set the default or the state of an input, or the value of a shared variable."""
        Contents(self)[key] = value

    def __contains__(self, key: Any) -> bool:
        """Whether an input or shared variable is known by this key."""
        return key in Contents(self)

    @property
    def value(self) -> Contents:
        """The values of inputs and shared variables, by variable, name or number."""
        return Contents(self)

    data = value

    @property
    def maker(self) -> Maker:
        """What the function was made of: ``f.maker.fgraph.toposort()`` lists the applications in its expressions."""
        return Maker(self)

    trust_input = False
    """Set by old programs to skip the checks of arguments; they are cheap here, and not skipped."""

    def free(self) -> None:
        """Do nothing: memory between calls belongs to the plan of the function, which ``del f`` frees."""

    @property
    def container(self) -> Contents:
        """The same as objects whose ``data`` is the value."""
        return Contents(self, containers=True)

    def __repr__(self) -> str:
        return f"<symc function {self.name}({self.signature()}) on {self.device}>"


compile_with(function)
