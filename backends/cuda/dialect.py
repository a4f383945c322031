"""The CUDA dialect: CUDA C's own syntax, and 32-bit indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symc.loops.expr import Expr, names_in
from symc.loops.ir import Accumulate, Alloc, For, If, Let, Load, Statement, Store
from symc_backends.cuda.mapping import walk
from symc_backends.dialect import CTYPE, Dialect

__all__ = ["CTYPE", "CUDA", "Indices", "allocations"]

CUDA = Dialect(
    nan={"float32": "__int_as_float(0x7fc00000)", "float64": "__longlong_as_double(0x7ff8000000000000LL)"},
    infinity={"float32": "__int_as_float(0x7f800000)", "float64": "__longlong_as_double(0x7ff0000000000000LL)"},
    suffix64="LL",
    suffix_u64="ULL",
)

_PLAIN = {"add": "+", "sub": "-", "mul": "*"}
_NAMED = {"floordiv": "ix_floordiv", "mod": "ix_mod", "min": "ix_min", "max": "ix_max"}


class Indices:
    """Writer of one launch's expressions, in which positions have type ``idx`` and values keep their dtype.

    The loop IR uses int64 for both. A name is *narrow*, and declared as ``idx``, if it is a dim, a loop index, or
    defined by arithmetic on these and used only for positions and extents. A narrow name in a value is widened first; a
    value in a position is narrowed.
    """

    def __init__(self, dims: int, statements: Sequence[Statement]) -> None:
        everything = list(walk(statements))
        counters = {s.index for s in everything if isinstance(s, For)}
        self.narrow: set[str] = counters | {f"n{k}" for k in range(dims)}
        self.counts: set[str] = set(counters)  # narrow names that are never negative
        lets = [s for s in everything if isinstance(s, Let)]
        candidates: dict[str, Expr] = {}
        for s in lets:
            if s.value.dtype == "int64" and self._positional(s.value, candidates.keys() | self.narrow):
                candidates[s.name] = s.value
        in_values = self._in_values(everything, candidates)
        self.narrow |= candidates.keys() - in_values
        for s in lets:
            if s.name in self.narrow and self._counts(s.value):
                self.counts.add(s.name)

    @staticmethod
    def _positional(e: Expr, known: Iterable[str]) -> bool:
        if e.op == "const":
            return True
        if e.op == "var":
            return e.value in known
        plain = e.op in _PLAIN or e.op in _NAMED or e.op == "neg"
        return plain and all(Indices._positional(a, known) for a in e.args)

    @staticmethod
    def _in_values(everything: Sequence[Statement], candidates: dict[str, Expr]) -> set[str]:
        """The names that occur in values, or in expressions that these are computed from."""
        found: set[str] = set()
        for s in everything:
            if isinstance(s, (Store, Accumulate)) or (isinstance(s, Let) and s.name not in candidates):
                found |= names_in(s.value)
            elif isinstance(s, If):
                found |= names_in(s.condition)
        for name, e in reversed(candidates.items()):
            if name in found:
                found |= names_in(e)
        return found

    def _counts(self, e: Expr) -> bool:
        """Whether a position is never negative, for any values of the dims."""
        if e.op == "const":
            return e.value >= 0
        if e.op == "var":
            return e.value in self.counts
        if e.op in ("mod", "floordiv"):
            return self._counts(e.args[0])
        return e.op in ("add", "mul", "min", "max") and all(self._counts(a) for a in e.args)

    def position(self, e: Expr) -> str:
        """Write a position or an extent, as ``idx``."""
        if e.op == "const":
            return f"((idx){CUDA.literal(e.value, 'int64')})" if abs(e.value) >= 2**31 else str(e.value)
        if e.op == "var":
            return str(e.value) if e.value in self.narrow else f"((idx){e.value})"
        if e.dtype == "int64" and e.op in _PLAIN:
            a, b = (self.position(x) for x in e.args)
            return f"({a} {_PLAIN[e.op]} {b})"
        if e.dtype == "int64" and e.op == "neg":
            return f"(-{self.position(e.args[0])})"
        if e.dtype == "int64" and e.op in _NAMED:
            a, b = (self.position(x) for x in e.args)
            if e.op in ("mod", "floordiv") and self._counts(e.args[0]):
                return f"((idx)((uidx){a} {'%' if e.op == 'mod' else '/'} (uidx){b}))"
            return f"{_NAMED[e.op]}({a}, {b})"
        if e.dtype == "int64" and e.op == "select":
            return f"({self.value(e.args[0])} ? {self.position(e.args[1])} : {self.position(e.args[2])})"
        return f"((idx){self.value(e)})"

    def value(self, e: Expr) -> str:
        """Write a value of its own dtype."""
        if e.op == "const":
            return CUDA.literal(e.value, e.dtype)
        if e.op == "var":
            return f"((int64_t){e.value})" if e.value in self.narrow else str(e.value)
        return CUDA.apply(e, [self.value(a) for a in e.args])

    def defined(self, s: Let) -> str:
        """Write the declaration of a name."""
        if s.name in self.narrow:
            return f"const idx {s.name} = {self.position(s.value)};"
        return f"const {CTYPE[s.value.dtype]} {s.name} = {self.value(s.value)};"

    def loaded(self, s: Load, source: str) -> str:
        """Write the declaration of a loaded value."""
        return f"const {CTYPE[s.dtype]} {s.name} = {source};"


def allocations(statements: Sequence[Statement]) -> list[Alloc]:
    """All private memory that statements allocate."""
    return [s for s in walk(statements) if isinstance(s, Alloc)]
