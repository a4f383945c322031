"""Plans kept between processes: what the compiler's passes made of a function, for the next start of the same program.

The passes over a deep network take up to seconds, whereas its compiled code is in the cache already. A back end that
has a cache (its attribute ``store``) keeps the program and the text that it emitted, under a digest of the text of the
expressions (``symc.runtime.graph_key``), of all settings, and of this program's own sources. Small graphs, those with
functions of the user's and those with lengths that depend on values are compiled again every time.

A plan refers to the function's variables and to the symbols of their dims by number. All other symbols are new ones
when it is read.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sympy

from symc.compiler.passes import State, compile_graph, specialise_shapes
from symc.compiler.rewrite.affine import Prepared
from symc.compiler.shape_specialisation import Specialised
from symc.config import config
from symc.graph import Apply, Variable, toposort
from symc.graph.body import Body
from symc.graph.dims import new_symbol
from symc.graph.flat import assembled, flattened
from symc.graph.guards import Guard, errors_come_late
from symc.graph.op import Op
from symc.graph.types import TensorType
from symc.loops.expr import Expr
from symc.runtime.backend import Backend, Store
from symc.runtime.graph_key import GraphKey
from symc.runtime.processors import usable

__all__ = ["LEAST_NODES", "planned", "sources_of"]

LEAST_NODES = 100
"""The number of applications from which the plan of a graph is kept; fewer are compiled in less than about 50 ms."""
MOST_BYTES = 32 << 20
"""The largest plan that is kept; constants of the program are a part of it."""

Watch = Callable[[str, Any], None]


def planned(state: State, backend: Backend, watch: Watch) -> tuple[State, str]:
    """Run all passes and emit the program, or find both among the kept plans.

    ``watch(name, state)`` is called after every pass and after ``"emit"``, or once with the name ``"plan"``. A state
    that was found has the program, and of the passes before it what a function needs.
    """
    place = _place(state, backend)
    if place is not None:
        data = place.store.read(place.name)
        if data is not None:
            found = _read(data, place.key, state)
            watch("plan", found[0])
            return found
    compiled = compile_graph(state, watch)
    assert compiled.program is not None and compiled.specialised is not None
    text = backend.emit(compiled.program)
    watch("emit", compiled)
    if place is not None and not compiled.specialised.symbols:
        data = _written(compiled, text, place.key)
        if data is not None and len(data) <= MOST_BYTES:
            place.store.write(place.name, data)
        watch("keep", compiled)
    return compiled, text


class _Place(NamedTuple):
    """Where the plan of a function is kept."""

    store: Store
    name: str
    key: GraphKey


def _place(state: State, backend: Backend) -> _Place | None:
    """Where the plan of these expressions is kept; None if it is not worth it, or they have no text."""
    store: Store | None = getattr(backend, "store", None)
    if store is None or len(toposort(state.outputs)) < LEAST_NODES:
        return None
    key = GraphKey.of(state)
    return None if key is None else _Place(store, _name(key.text, store), key)


_NO_MATTER = ("cache_dir", "profile", "tiered", "short_axes", "exception_verbosity", "on_unused_input")
"""Settings that do not change what the passes make."""


def _name(text: str, store: Store) -> str:
    settings = [(k, v) for k, v in sorted(vars(config).items()) if k not in _NO_MATTER]
    parts = (_sources(), store.identity(), repr(settings), str(usable()), str(errors_come_late()), text)
    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:40] + ".plan"


@lru_cache(maxsize=1)
def _sources() -> str:
    """A digest of symc's sources, and the versions of what else plans depend on."""
    versions = f"{sympy.__version__} {np.__version__} {sys.version}"
    return sources_of(Path(__file__).parents[1]) + versions


def sources_of(folder: Path) -> str:
    """A digest of all Python files in a folder."""
    digest = sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


# --- plans as bytes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kept:
    """What is kept of a state: ``values`` are those of the prepared values, in one graph."""

    program: Any
    text: str
    sources: list[tuple[Variable, Variable]]
    guards: list[tuple[Any, Any, bool]]
    unified: dict[Any, Any]
    longer: dict[Any, tuple[Any, int]]
    same: dict[Any, Any]
    prepared: list[dict[str, Any]]
    values: Any


def _written(state: State, text: str, key: GraphKey) -> bytes | None:
    """The plan as bytes; None if something in it has none, such as a function that the program calls."""
    assert state.specialised is not None
    s = state.specialised
    places: dict[Variable, int] = {}
    prepared = [
        {k: places.setdefault(v, len(places)) if isinstance(v, Variable) else v for k, v in vars(p).items()}
        for p in state.prepared
    ]
    guards = [(g.left, g.right, g.lazy) for g in s.guards]
    kept = _Kept(
        state.program, text, list(s.sources.items()), guards, s.unified, s.longer, s.same, prepared, _flat(list(places))
    )
    file = io.BytesIO()
    try:
        _Pickler(file, key).dump(kept)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return None
    return file.getvalue()


def _read(data: bytes, key: GraphKey, state: State) -> tuple[State, str]:
    kept: _Kept = _Unpickler(io.BytesIO(data), key).load()
    leaves, nodes, outputs = kept.values
    values = assembled(leaves, nodes, outputs, _applied)
    prepared = [_prepared(parts, values) for parts in kept.prepared]
    guards = [Guard(left, right, _Message(state, k), lazy=lazy) for k, (left, right, lazy) in enumerate(kept.guards)]
    specialised = Specialised(dict(kept.sources), [], guards, unified=kept.unified, longer=kept.longer, same=kept.same)
    return replace(state, specialised=specialised, prepared=prepared, program=kept.program), kept.text


def _prepared(parts: dict[str, Any], values: Sequence[Variable]) -> Prepared:
    named: dict[str, Any] = {name: values[part] if type(part) is int else part for name, part in parts.items()}
    return Prepared(**named)


class _Message:
    """The message of a guard, which most programs never need: it is found by specialising the expressions again."""

    def __init__(self, state: State, number: int) -> None:
        self._state = state
        self._number = number

    def __call__(self) -> str:
        found = specialise_shapes(self._state).specialised
        assert found is not None
        return found.guards[self._number].text()


Flat = tuple[list[Variable], list[tuple[Any, list[int]]], list[int]]
"""Leaves, applications with the positions of their inputs among all values before them, positions of the outputs."""


def _flat(outputs: Sequence[Variable]) -> Flat:
    leaves, nodes, places = flattened(outputs)
    kept = [((n.op, [(v.type, v.name) for v in n.outputs], n.outputs[0].location), at) for n, at in nodes]
    return leaves, kept, places


def _applied(kept: tuple[Any, ...], inputs: list[Variable]) -> Sequence[Variable]:
    op, made, location = kept
    node = Apply(op, inputs, [t for t, _ in made], location)
    for v, (_, name) in zip(node.outputs, made):
        v.name = name
    return node.outputs


def _leaf(type_: TensorType, name: str | None, location: Any) -> Variable:
    return Variable(type_, None, 0, name, location)


def _extreme(kind: Any, args: tuple[Any, ...]) -> Any:
    """``max`` or ``min``, without the questions of which term is the largest: they take sympy milliseconds."""
    return kind(*args, evaluate=False)


def _op(record: Any, attrs: dict[str, Any]) -> Op:
    return Op(record, **attrs)


def _known_leaf(number: int) -> Variable:
    """An input or shared variable of the function: what reads a plan knows which."""
    raise LookupError("only a plan that is read defines it")


def _known_symbol(number: int) -> Any:
    """A symbol of the function's expressions."""
    raise LookupError("only a plan that is read defines it")


def _new_symbol(number: int, name: str, nonnegative: bool) -> Any:
    """A symbol of the plan's own."""
    raise LookupError("only a plan that is read defines it")


class _Pickler(pickle.Pickler):
    """Writes the function's variables and symbols as numbers, and nothing that depends on hashes of this process."""

    def __init__(self, file: io.BytesIO, key: GraphKey) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._leaves = {v: k for k, v in enumerate(key.leaves)}
        self._symbols = key.symbols
        self._fresh: dict[Any, int] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Expr):
            return Expr, (obj.op, obj.args, obj.dtype, obj.value)
        if isinstance(obj, sympy.Dummy):
            return self._symbol(obj)
        if isinstance(obj, (sympy.Max, sympy.Min)):
            return _extreme, (type(obj), obj.args)
        if isinstance(obj, TensorType):
            return TensorType, (obj.dtype, obj.shape)
        if isinstance(obj, Op):
            return _op, (obj.record, obj.attrs)
        if isinstance(obj, Variable):
            return self._variable(obj)
        if isinstance(obj, Body):
            raise pickle.PicklingError("a plan with a body")
        return NotImplemented

    def _symbol(self, symbol: Any) -> Any:
        known = self._symbols.get(symbol)
        if known is not None:
            return _known_symbol, (known,)
        number = self._fresh.setdefault(symbol, len(self._fresh))
        return _new_symbol, (number, symbol.name, bool(symbol.is_nonnegative))

    def _variable(self, v: Variable) -> Any:
        known = self._leaves.get(v)
        if known is not None:
            return _known_leaf, (known,)
        if type(v) is Variable and v.owner is None:
            return _leaf, (v.type, v.name, v.location)
        if v.owner is not None:
            raise pickle.PicklingError(f"a plan with {v!r}")
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, key: GraphKey) -> None:
        super().__init__(file)
        symbols, fresh = list(key.symbols), {}

        def new(number: int, name: str, nonnegative: bool) -> Any:
            if number not in fresh:
                fresh[number] = new_symbol(name, nonnegative)
            return fresh[number]

        self._here = {
            _known_leaf.__name__: key.leaves.__getitem__, _known_symbol.__name__: symbols.__getitem__,
            _new_symbol.__name__: new,
        }  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        """The functions that this plan defines, by their names; all others as usual."""
        return self._here[name] if module == __name__ and name in self._here else super().find_class(module, name)
