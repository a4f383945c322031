"""Names of ``theano`` itself and of ``theano.compile``: functions, their arguments, shared variables, loops."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import symc
from symc.compat.flags import change_flags, config
from symc.compat.list_functions import ListFunction, of_lists
from symc.compat.modes import FAST_COMPILE, FAST_RUN, predefined_modes
from symc.compat.numpy_streams import GeneratorState
from symc.compat.overwriting import OverwritingFunction, overwritten
from symc.graph import SharedVariable, Variable, graph_inputs
from symc.graph.types import TensorType
from symc.tensor.random_numbers.states import RandomState, state_of
from symc.tensor.scans.arguments import listed

__all__ = [
    "FAST_COMPILE", "FAST_RUN", "GenericShared", "OpFromGraph", "OrderedUpdates", "Param", "SymbolicInput",
    "SymbolicOutput", "__version__", "change_flags", "config", "function", "function_dump", "generic", "pfunc",
    "scan", "shared", "_shared", "mention", "shared_constructor", "sparse_grad", "until", "version",
]  # fmt: skip

__version__ = "1.0.5"
version = __version__

_KEYWORDS_OF_SHARED = ("name", "strict", "allow_downcast", "borrow", "broadcastable", "shape", "dtype")


def function(
    inputs: Sequence[Any],
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: Any = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
) -> symc.Function:
    """``symc.function`` with the order of arguments of ``theano.function``.

    As in Theano, an entry of ``inputs`` may be a pair (variable, default value), ``profile`` may be a name, and the
    values given for the result of an expression may have another shape than it would have.
    """
    if isinstance(outputs, dict) and not all(isinstance(key, str) for key in outputs):
        raise AssertionError(f"function: the keys of outputs must be text, got {list(outputs)}")
    if isinstance(outputs, dict):
        outputs = {key: outputs[key] for key in sorted(outputs)}
    if of_lists(inputs, outputs):
        kind = predefined_modes.get(mode, mode) if isinstance(mode, str) else mode
        options = {"mode": kind, "givens": givens, "allow_input_downcast": allow_input_downcast}
        of_arrays: Any = ListFunction(
            lambda of, value: symc.function(of, value, on_unused_input="ignore", **options), inputs, outputs
        )
        return of_arrays  # type: ignore[no-any-return]
    stored = overwritten(inputs, outputs) if accept_inplace and not isinstance(outputs, dict) else []
    single = not isinstance(outputs, (list, tuple))
    if stored:
        outputs = [*([outputs] if single else outputs), *(v for _, v in stored)]
    _check_givens(inputs, givens)
    inputs, givens = _with_free_shapes(inputs, givens)
    made = symc.function(
        [_input(v) for v in inputs],
        outputs,
        mode=predefined_modes.get(mode, mode) if isinstance(mode, str) else mode,
        updates=updates,
        givens=givens,
        no_default_updates=no_default_updates,
        accept_inplace=accept_inplace,
        name=name,
        rebuild_strict=rebuild_strict,
        allow_input_downcast=allow_input_downcast,
        profile=None if profile is None else bool(profile),
        on_unused_input=on_unused_input,
    )
    return OverwritingFunction(made, [k for k, _ in stored], single) if stored else made  # type: ignore[return-value]


def function_dump(filename: str, inputs: Sequence[Any], outputs: Any = None, *args: Any, **named: Any) -> None:
    """Write the arguments of a call of ``function`` to a file: ``function(**pickle.load(file))`` repeats it."""
    named.pop("extra_tag_to_remove", None)
    call = inspect.signature(function).bind(inputs, outputs, *args, **named)
    call.apply_defaults()
    with open(filename, "wb") as file:
        pickle.dump(call.arguments, file, protocol=-1)


def _check_givens(inputs: Any, givens: Any) -> None:
    """Raise a RuntimeError if an input is to be replaced, as Theano does."""
    if not givens or not isinstance(inputs, (list, tuple)):
        return
    explicit = [getattr(v, "variable", v) for v in inputs]
    for old in givens if hasattr(givens, "items") else [pair[0] for pair in givens]:
        if any(old is v for v in explicit):
            text = f"function: givens replace {old!r}, which is an input; that would have no effect"
            raise RuntimeError(f"{text}\n  repair: make the function of a new input y, with givens={{{old!r}: g(y)}}")


def _with_free_shapes(inputs: Any, givens: Any) -> tuple[Any, Any]:
    """Replace inputs that are results of expressions by variables of any shape."""
    if not isinstance(inputs, (list, tuple)):
        return inputs, givens
    computed = [v for v in inputs if isinstance(v, Variable) and v.owner is not None]
    if not computed:
        return inputs, givens
    free = {v: TensorType(v.dtype, v.broadcastable)(v.name) for v in computed}
    for v in free.values():
        v.__dict__["_any_shape"] = True
    pairs = list(givens.items()) if hasattr(givens, "items") else list(givens or ())
    return [free[v] if isinstance(v, Variable) and v in free else v for v in inputs], [*pairs, *free.items()]


def pfunc(
    params: Sequence[Any],
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: Any = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
    output_keys: Any = None,
) -> symc.Function:
    """``theano.compile.pfunc``, another name of ``function``."""
    return function(
        params, outputs, mode, updates, givens, no_default_updates, accept_inplace, name, rebuild_strict,
        allow_input_downcast, profile, on_unused_input,
    )  # fmt: skip


class OpFromGraph(symc.OpFromGraph):
    """``symc.OpFromGraph``; further keywords, which ``theano.function`` takes, have no effect."""

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        inline: bool = False,
        lop_overrides: Any = "default",
        grad_overrides: Any = "default",
        rop_overrides: Any = "default",
        connection_pattern: Any = None,
        name: str | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__(
            inputs, outputs, inline, lop_overrides, grad_overrides, rop_overrides, connection_pattern, name
        )


def _input(given: Any) -> Any:
    if isinstance(given, (list, tuple)) and len(given) == 2 and isinstance(given[0], Variable):
        return symc.In(given[0], value=given[1])
    return given


def Param(  # noqa: N802 - the name of a class in Theano
    variable: Variable,
    default: Any = None,
    name: str | None = None,
    mutable: bool = False,
    strict: bool = False,
    allow_downcast: bool | None = None,
    implicit: bool | None = None,
    borrow: bool | None = None,
) -> symc.In:
    """``theano.Param``, the old form of ``In``: an input with a default value."""
    return symc.In(variable, name, default, None, mutable or None, strict, allow_downcast, True, implicit, borrow)


class _Inputs(type):
    """Makes inputs from the arguments of Theano's class, and recognises all of them."""

    def __call__(
        cls,
        variable: Variable,
        name: str | None = None,
        update: Any = None,
        mutable: bool | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        autoname: bool = True,
        implicit: bool = False,
    ) -> symc.In:
        return symc.In(variable, name, None, update, mutable, strict, allow_downcast, autoname, implicit)

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, symc.In)


class SymbolicInput(metaclass=_Inputs):
    """``theano.compile.SymbolicInput``: an ``In`` without a default value."""


SymbolicOutput = symc.Out


class _Generic:
    """The type of Python objects, which shared variables may hold, and which no expression is made of."""

    def __call__(self, name: str | None = None) -> Any:
        raise TypeError(
            "theano.generic: expressions are made of arrays alone; pass other values through Python, outside the graph"
        )

    def __repr__(self) -> str:
        return "<theano.generic>"


generic: Any = _Generic()


class GenericShared:
    """A shared variable that holds any Python object: it can be read and set, and stands in no expression."""

    def __init__(self, value: Any, name: str | None = None) -> None:
        self.type, self.name = generic, name
        self.set_value(value)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return a copy of the value, or with ``borrow`` the value itself."""
        return self._value if borrow else copy.deepcopy(self._value)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value by a copy of another, or with ``borrow`` by that itself."""
        self._value = new_value if borrow else copy.deepcopy(new_value)

    def __repr__(self) -> str:
        return self.name or "<theano.generic>"


def _is_numeric(value: Any) -> bool:
    """Whether a value is one of those that shared variables of numbers hold."""
    if value is None or isinstance(value, (str, bytes, dict, set)) or isinstance(value, list) and not value:
        return False
    if isinstance(value, (list, tuple)):
        return all(map(_is_numeric, value))
    return not (isinstance(value, np.ndarray) and value.dtype.kind in "OUSV")


def shared(value: Any, name: str | None = None, strict: bool = False, **kwargs: Any) -> SharedVariable:
    """``symc.shared``; ``target`` and ``context_name`` say nothing here, values move to the device that uses them."""
    if not _is_numeric(value):
        return GenericShared(value, name)  # type: ignore[return-value]
    if isinstance(value, np.random.RandomState):
        if config.exact_random:
            return GeneratorState.of(value, name)
        return RandomState.of(symc.shared(state_of(value), name, shape=(2,)))
    kwargs.pop("target", None)
    kwargs.pop("context_name", None)
    unknown = sorted(set(kwargs) - set(_KEYWORDS_OF_SHARED))
    if unknown:
        raise TypeError(f"shared: unknown keyword {unknown[0]!r}; it takes {', '.join(_KEYWORDS_OF_SHARED)} and target")
    return symc.shared(value, name, strict, **kwargs)


_shared = shared


def shared_constructor(constructor: Callable[..., Any], remove: bool = False) -> Callable[..., Any]:
    """Return the function unchanged: shared variables hold arrays alone, there are no further kinds to register."""
    return constructor


class OrderedUpdates(OrderedDict):
    """Updates in the order in which they were made: ``{shared variable: its next value}``."""

    def __init__(self, *entries: Any, **named: Any) -> None:
        super().__init__()
        self.update(*entries, **named)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, (SharedVariable, GenericShared)):
            raise TypeError(f"OrderedUpdates: a key must be a shared variable, got {key!r}")
        super().__setitem__(key, value)

    def update(self, *entries: Any, **named: Any) -> None:
        """Add updates; None adds nothing. A KeyError reports another update of a variable that has one."""
        for pairs in entries:
            for key, value in pairs.items() if hasattr(pairs, "items") else pairs or ():
                known = self.get(key)
                if key in self and known is not value and (isinstance(value, Variable) or known != value):
                    raise KeyError(f"OrderedUpdates: there is an update of {key!r} already")
                self[key] = value

    def __add__(self, other: Any) -> OrderedUpdates:
        joined = OrderedUpdates(self)
        joined.update(other)
        return joined

    def __radd__(self, other: Any) -> OrderedUpdates:
        joined = OrderedUpdates(other)
        joined.update(self)
        return joined


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: bool | None = None,
    strict: bool = False,
    return_list: bool = False,
    **old: Any,
) -> Any:
    """``symc.scan`` with the arguments of ``theano.scan``; ``info_outputs`` is the first name of ``outputs_info``."""
    given = {
        "sequences": sequences,
        "outputs_info": old.pop("info_outputs", outputs_info),
        "non_sequences": non_sequences,
        "n_steps": n_steps,
        "truncate_gradient": truncate_gradient,
        "go_backwards": go_backwards,
        "name": name,
        "strict": strict,
        "return_list": return_list,
        **old,
    }
    defaults = {"truncate_gradient": -1, "go_backwards": False, "name": None, "strict": False, "return_list": False}
    told = {key: v for key, v in given.items() if key not in defaults or v != defaults[key]}
    outputs, updates = symc.scan(fn, **told)
    mention([*listed(sequences), *listed(non_sequences)])
    return outputs, OrderedUpdates(updates)


def mention(given: Sequence[Any]) -> None:
    """Mark the inputs behind arguments of an op as used, even if its result ignores them: for Theano they are."""
    values = [v.get("input") if isinstance(v, Mapping) else v for v in given]
    for v in graph_inputs([v for v in values if isinstance(v, Variable)]):
        v.__dict__["_mentioned"] = True


def sparse_grad(var: Variable) -> Variable:
    """Return ``var``, rows of a tensor: whether its gradient is stored whole is the compiler's decision."""
    if var.owner is None or len(var.owner.inputs) < 2:
        raise AssertionError(f"sparse_grad: expected rows of a tensor, as in x[indices], got {var!r}")
    return var


def until(condition: Any) -> Any:
    """``theano.scan_module.until``: the condition under which a loop ends after the current step."""
    from symc.compat.serving import dotted

    return dotted("symc.scan_module.until")(condition)
