"""Vector code for the statements of ``simd`` loops: one register of floats at a time, or some of its lanes.

A value in a simd loop is either *uniform* (the same in all iterations: a C scalar) or *varying* (a vector of ``LANES``
lanes). A varying bool is a mask: an integer vector of 0 and -1, as wide as the operands it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from symc.graph.dtypes import BITS, HALF
from symc.loops.expr import ONE, ZERO, Expr, call, coefficient, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Let, Load, Store
from symc_backends.c.accumulators import combine, in_pieces, vector_identity
from symc_backends.c.dialect import CTYPE, LANES, vector_call
from symc_backends.c.interleaving import Taken, Turns, copied_windows, unzipped_loads, zipped_stores
from symc_backends.c.lanes import is_affine, is_sum, wide_tags
from symc_backends.c.loads import strided_load
from symc_backends.c.narrow import COMPARISONS, Narrow, NarrowLoads
from symc_backends.c.pieces import is_piecewise, jumps, steps

__all__ = ["VectorBody", "can_vectorise"]


LARGEST_STEP = 1 << 20
"""The largest difference between neighbouring lanes of integers that are compared in 32 bits."""
CROSSED = 12
"""The largest number of rows of which a vector has elements in turn."""


class Value(NamedTuple):
    """The C text of a value; ``mask`` is the vector tag (``"i32"``) of a varying bool."""

    text: str
    varying: bool
    mask: str = ""


def can_vectorise(loop: For) -> bool:
    """Whether all statements of the body have a vector form.

    An accumulator that all iterations share is a register, which is stored after the loop: its address must be known
    there. (It is not where an axis of length 0 took the loop's index out of an address that depends on a loaded index.)
    """
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))}
    return all(
        isinstance(s, (Let, Load, Store))
        or isinstance(s, Accumulate)
        and (loop.index in (names := names_in(s.index)) or inside.isdisjoint(names))
        for s in loop.body
    )


class VectorBody:
    """Generator of one copy of the loop's body, for lanes [i, i + LANES) or the first ``left`` of them.

    With a ``width`` it is for that many times as many lanes, see ``symc_backends.c.lanes``.
    """

    def __init__(
        self,
        loop: For,
        scalar: Callable[[Expr], str],
        partial: bool,
        position: str,
        streamed: Collection[str] = (),
        addresses: dict[int, tuple[Expr, Expr, Expr | None]] | None = None,
        loads: NarrowLoads | None = None,
        width: int = 1,
    ) -> None:
        self.loop = loop
        self.is_wide = width > 1
        self.tags, self.masks = wide_tags(width)
        # by the id of an index: itself, without names that the loop defines, and the stride; the same in every copy
        self.addresses = {} if addresses is None else addresses
        self.streamed = streamed
        self.scalar = scalar  # Expr -> C text, for uniform expressions
        self.partial = partial
        self.position = position
        self.lines: list[str] = []
        self.values: dict[str, Value] = {}
        self.definitions: dict[str, Expr] = {}  # int64 Lets, substituted to find strides
        self.varying_names: set[str] = {loop.index}
        self.narrow = None if loads is None else Narrow(self, loads)

    # --- expressions ----------------------------------------------------------------------------------------------

    def is_varying(self, e: Expr) -> bool:
        return not self.varying_names.isdisjoint(names_in(e))

    def value(self, e: Expr) -> Value:
        if e.op == "var" and e.value in self.values:
            return self.values[e.value]
        if e.op == "var" and self.narrow is not None and e.value in self.narrow.lets:
            return self._define(e.value, self.narrow.lets[e.value])
        if e.op == "var" and e.value == self.loop.index:
            return Value(f"(viota_i64() + {self.position})", True)
        if not self.is_varying(e):
            return Value(self.scalar(e), False)
        if e.op == "cast":
            return self._cast(e)
        if e.op in COMPARISONS and e.args[0].dtype == "int64":
            counted = self._comparison_of_counters(e)
            if counted is not None:
                return counted
        args = [self.value(a) for a in e.args]
        if e.op == "select":
            return self._select(e, args)
        operand = e.args[0].dtype
        if operand == "bool":
            return self._logic(e.op, args)
        if e.op == "div" and not args[1].varying and operand in ("float32", "float64"):
            return Value(f"vover_{self.tags[operand]}({args[0].text}, {args[1].text})", True)
        vectors = [self.vector(a, operand) for a in args]
        text = vector_call(e.op, vectors, operand, self.tags)
        return Value(text, True, self.masks[operand] if e.dtype == "bool" else "")

    def vector(self, v: Value, dtype: str, mask: str = "") -> str:
        """Convert a value to a vector; bools become a mask of tag ``mask``."""
        if dtype == "bool":
            if not v.varying:
                return f"vset1_{mask}(-(int64_t)({v.text}))" if mask == "i64" else f"vset1_{mask}(-(int)({v.text}))"
            return v.text if v.mask == mask else f"vcast_{v.mask}_{mask}({v.text})"
        return v.text if v.varying else f"vset1_{self.tags[dtype]}({v.text})"

    def _logic(self, op: str, args: Sequence[Value]) -> Value:
        mask = next((a.mask for a in args if a.varying), self.masks["bool"])
        vectors = [self.vector(a, "bool", mask) for a in args]
        if op in ("not",):
            return Value(f"(~{vectors[0]})", True, mask)
        sign = {"and": "&", "or": "|", "xor": "^", "min": "&", "max": "|", "ne": "^", "mul": "&", "add": "|"}.get(op)
        if sign:
            return Value(f"({vectors[0]} {sign} {vectors[1]})", True, mask)
        a, b = vectors
        text = {
            "eq": f"(~({a} ^ {b}))",
            "lt": f"(~{a} & {b})",
            "le": f"(~{a} | {b})",
            "gt": f"({a} & ~{b})",
            "ge": f"({a} | ~{b})",
        }[op]
        return Value(text, True, mask)

    def _select(self, e: Expr, args: Sequence[Value]) -> Value:
        condition, a, b = args
        if e.dtype == "bool":
            mask = next((v.mask for v in args if v.varying), self.masks["bool"])
            c, x, y = (self.vector(v, "bool", mask) for v in args)
            return Value(f"(({c} & {x}) | (~{c} & {y}))", True, mask)
        x, y = self.vector(a, e.dtype), self.vector(b, e.dtype)
        c = self.vector(condition, "bool", self.masks[e.dtype])  # C has no ?: on vectors: broadcast a uniform condition
        return Value(f"vselect_{self.tags[e.dtype]}({c}, {x}, {y})", True)

    def _comparison_of_counters(self, e: Expr) -> Value | None:
        """A comparison of integers that the lanes count up: of the numbers of the lanes with one number, in 32 bits."""
        a, b = (substituted(x, self.definitions) for x in e.args)
        if not (is_affine(a) and is_affine(b) and self._follows_lanes(a) and self._follows_lanes(b)):
            return None
        steps = call("sub", *(coefficient(x, self.loop.index) or ZERO for x in (a, b)))
        if steps.op != "const" or not 0 < abs(steps.value) <= LARGEST_STEP:
            return None
        first, other = (self.scalar(substituted(x, {self.loop.index: var(self.position)})) for x in (a, b))
        lanes = "viota_i32()" if steps.value == 1 else f"(viota_i32() * {steps.value})"
        return Value(f"v{e.op}_i32({lanes}, vset1_i32(sx_apart({other}, {first})))", True, "i32")

    def _cast(self, e: Expr) -> Value:
        (source,) = e.args
        if self.narrow is not None and source.dtype == "int64" and e.dtype == "int32":
            return Value(self.narrow.last_bits(source), True)
        if self.narrow is not None and source.dtype == "int64" and e.dtype in ("float32", "float64"):
            known = self.narrow.known(source)
            if known.is_exact:
                return Value(f"vcast_i32_{self.tags[e.dtype]}({known.text})", True)
        v = self.value(source)
        if HALF in (source.dtype, e.dtype):
            return self._half(v, source, e.dtype)
        if source.dtype == "bool":
            mask = self.vector(v, "bool", self.masks[e.dtype])
            if e.dtype in ("float32", "float64"):
                return Value(f"vones_{self.tags[e.dtype]}({mask})", True)
            return Value(f"vcast_{self.masks[e.dtype]}_{self.tags[e.dtype]}({mask} & 1)", True)
        return Value(f"vcast_{self.tags[source.dtype]}_{self.tags[e.dtype]}({v.text})", True)

    def _half(self, v: Value, source: Expr, dtype: str) -> Value:
        """A conversion from or to float16, between which and other dtypes float32 stands."""
        if source.dtype == HALF:
            text = f"vf32_of_half({v.text})"
            return Value(text if dtype == "float32" else f"vcast_f32_{self.tags[dtype]}({text})", True)
        if source.dtype not in ("float32", "float64"):
            v = self._cast(Expr("cast", (source,), "float32"))
        return Value(f"vhalf_of_{'f64' if source.dtype == 'float64' else 'f32'}({v.text})", True)

    # --- addresses ------------------------------------------------------------------------------------------------

    def address(self, at: Expr) -> tuple[str, Expr | None]:
        """Analyse an index: (text for the first lane, stride), or ("", None) if it is irregular."""
        known = self.addresses.get(id(at))
        if known is None:
            plain = substituted(at, self.definitions)
            known = self.addresses[id(at)] = at, plain, coefficient(plain, self.loop.index)
        _, plain, stride = known
        loaded = self.varying_names - {self.loop.index}
        if stride is None or not loaded.isdisjoint(names_in(plain)):
            return "", None
        start = substituted(plain, {self.loop.index: var(self.position)})
        return self.scalar(start), stride

    def _is_piecewise(self, e: Expr) -> bool:
        """Whether the value is an index with jumps along the lanes, and depends on nothing that the loop loads."""
        plain = substituted(e, self.definitions)
        return is_piecewise(plain, self.loop.index) and self._follows_lanes(plain)

    def _follows_lanes(self, plain: Expr) -> bool:
        """Whether an expression without names of affine values follows from the loop's index alone."""
        return (self.varying_names - {self.loop.index}).isdisjoint(names_in(plain))

    def pieces(self, at: Expr) -> tuple[str, str] | None:
        """The position of the first lane, and the condition that all lanes are contiguous; None without such pieces."""
        plain = self.addresses[id(at)][1]
        conditions = jumps(plain, self.loop.index)
        if conditions is None or not self._follows_lanes(plain):
            return None
        lanes = "left" if self.partial else LANES
        lane = self.loop.index
        ends = [{lane: var(self.position)}, {lane: var(f"({self.position} + {lanes} - 1)")}]
        first, last = (self.scalar(substituted(plain, end)) for end in ends)
        tests = [f"{last} - {first} == {lanes} - 1"]
        for c in conditions:
            tests.append(" == ".join(f"({self.scalar(substituted(c, end))})" for end in ends))
        return first, " && ".join(f"({test})" for test in tests)

    # --- statements -----------------------------------------------------------------------------------------------

    def add(self, line: str) -> None:
        self.lines.append(line)

    def let(self, s: Let) -> None:
        if s.value.dtype == "int64" and (is_affine(s.value) or self._is_piecewise(s.value)):
            self.definitions[s.name] = s.value
        if self.narrow is not None and s.value.dtype in ("int64", "bool") and self.is_varying(s.value):
            self.varying_names.add(s.name)
            self.narrow.lets[s.name] = s.value  # defined where it is read, if 64 bits are
        else:
            self._define(s.name, s.value)

    def _define(self, name: str, value: Expr) -> Value:
        v = self.value(value)
        if not v.varying:
            self.add(f"const {CTYPE[value.dtype]} {name} = {v.text};")
        else:
            self.varying_names.add(name)
            self.add(f"const v_{v.mask or self.tags[value.dtype]} {name} = {v.text};")
        self.values[name] = Value(name, v.varying, v.mask)
        return self.values[name]

    def bind(self, name: str, dtype: str, register: str) -> None:
        """Name the present value of a vector register."""
        self.varying_names.add(name)
        self.add(f"const v_{self.tags[dtype]} {name} = {register};")
        self.values[name] = Value(name, True)

    def vector_of(self, e: Expr) -> str:
        """The text of an expression as a vector."""
        return self.vector(self.value(e), e.dtype)

    def load(self, s: Load, pointer: str) -> None:
        tag, name = self.tags[s.dtype], s.name
        start, stride = self.address(s.index)
        left = "left" if self.partial else ""
        pieces = self.pieces(s.index) if stride is None and s.dtype != "bool" else None
        distributed = self._distributed(s, pointer, left or LANES) if stride is None else ""
        if distributed:
            text = distributed
        elif stride is None:
            narrow = self.narrow if self.narrow is not None and s.buffer in self.narrow.loads.buffers else None
            bits, at = ("", self.vector_of(s.index)) if narrow is None else ("32", narrow.last_bits(s.index))
            text = f"vindex{bits}_n_{tag}({pointer}, {at}, left)" if left else f"vindex{bits}_{tag}({pointer}, {at})"
        elif stride.op == "const" and stride.value == 0:
            self.add(f"const {CTYPE[s.dtype]} {name} = {pointer}[{start}];")
            self.values[s.name] = Value(name, False)
            return
        else:
            text = strided_load(s.dtype, tag, f"{pointer} + {start}", stride, self.partial)
        self.varying_names.add(s.name)
        if s.dtype == "bool":
            mask = self.masks["bool"]
            self.add(f"const v_{mask} {name} = -(v_{mask}){text};")
            self.values[s.name] = Value(name, True, mask)
        elif pieces:
            start, contiguous = pieces
            near = strided_load(s.dtype, tag, f"{pointer} + {start}", ONE, self.partial)
            self.add(f"v_{tag} {name}; if ({contiguous}) {name} = {near}; else {name} = {text};")
            self.values[s.name] = Value(name, True)
        else:
            self.add(f"const v_{tag} {name} = {text};")
            self.values[s.name] = Value(name, True)

    def _distributed(self, s: Load, pointer: str, lanes: str) -> str:
        """A load of a few elements that are distributed to the lanes; empty if its index has no such steps."""
        plain = self.addresses[id(s.index)][1]
        found = steps(plain, self.loop.index) if BITS.get(s.dtype) == 32 and self._follows_lanes(plain) else None
        if found is None:
            return ""
        start, length = f"{pointer} + {self.scalar(found.base)}", self.scalar(found.length)
        at = self.scalar(substituted(found.at, {self.loop.index: var(self.position)}))
        each, apart = (x.value if x.op == "const" else None for x in (found.each, found.apart))
        if (each, apart) in ((1, 0), (0, 1)):
            return f"v{'repeat' if each else 'cycle'}_{self.tags[s.dtype]}({start}, {at}, {length}, {lanes})"
        if apart == 0:
            if each not in (2, 3, 4):
                return ""
            return f"vrepeat{each}_{self.tags[s.dtype]}({start}, {at}, {length}, {lanes})"
        if each != 1 or found.length.op != "const" or found.length.value > CROSSED:
            return ""
        return f"vcross_{self.tags[s.dtype]}({start}, {at}, {length}, {self.scalar(found.apart)}, {lanes})"

    def _stored(self, value: Expr) -> str:
        v = self.value(value)
        if value.dtype == "bool":
            return f"(v_{self.tags['bool']})({self.vector(v, 'bool', self.masks['bool'])} & 1)"
        return self.vector(v, value.dtype)

    def store(self, s: Store, pointer: str, value: str | None = None) -> None:
        tag = self.tags[s.value.dtype]
        start, stride = self.address(s.index)
        text = value or self._stored(s.value)
        if stride is not None and stride.op == "const" and stride.value == 1:
            if self.partial:
                self.add(f"vstore_n_{tag}({pointer} + {start}, {text}, left);")
            elif s.buffer in self.streamed:
                self.add(f"vput_{tag}({pointer} + {start}, {text}, far_{s.buffer});")
            else:
                self.add(f"vstore_{tag}({pointer} + {start}, {text});")
            return
        lanes = "left" if self.partial else LANES
        if stride is None:
            each = f"for (int l = 0; l < {lanes}; l++) {pointer}[at[l]] = of[l];"
            self.add(f"{{ const v_i64 at = {self.vector_of(s.index)}; const v_{tag} of = {text}; {each} }}")
        else:
            by = self.scalar(stride)
            if self.partial:
                self.add(f"vscatter_n_{tag}({pointer} + {start}, {by}, {text}, left);")
            else:
                self.add(f"vscatter_{tag}({pointer} + {start}, {by}, {text});")

    def store_turns(self, turns: Turns, pointer: Callable[[str], str]) -> None:
        """Store whole vectors whose elements take turns in memory."""
        first = turns.stores[0]
        dtype, buffer = first.value.dtype, first.buffer
        target = f"{pointer(buffer)} + {self.address(first.index)[0]}"
        far = f"far_{buffer}" if buffer in self.streamed else ""
        text = zipped_stores(dtype, self.tags[dtype], target, [self._stored(s.value) for s in turns.stores], far)
        if turns.window is not None:
            source = f"{pointer(turns.window.buffer)} + {self.address(turns.window.index)[0]}"
            copies = copied_windows(dtype, source, target, len(turns.stores))
            text = f"if (!{far}) {copies} else {text}" if far else copies
        self.add(text)

    def load_turns(self, taken: Taken, pointer: str) -> None:
        """Load whole vectors whose elements take turns in memory."""
        first = taken.loads[0]
        names, start = [s.name for s in taken.loads], f"{pointer} + {self.address(first.index)[0]}"
        self.add(unzipped_loads(first.dtype, self.tags[first.dtype], start, names, taken.backwards))
        self.varying_names.update(names)
        self.values.update({name: Value(name, True) for name in names})

    def lane_mask(self, dtype: str) -> str:
        bits = self.masks[dtype]
        return f"vlt_{bits}(vcast_i32_{bits}(viota_i32()), vset1_{bits}(left))"

    def accumulate_register(self, s: Accumulate, register: str, dtype: str) -> None:
        """Combine the lanes with a vector accumulator."""
        if self.is_wide:
            self.add(self._accumulate_wide(s, register, dtype))
            return
        v = self.value(s.value)
        if dtype == "bool":
            text = self.vector(v, "bool", "i8")
            if self.partial:
                text = f"vselect_i8({self.lane_mask('int8')}, {text}, vset1_i8({vector_identity(s.op, dtype)}))"
        else:
            text = self.vector(v, dtype)
            if self.partial:
                tag = self.tags[dtype]
                text = f"vselect_{tag}({self.lane_mask(dtype)}, {text}, vset1_{tag}({vector_identity(s.op, dtype)}))"
        if in_pieces(s.op, dtype):
            self.add(f"VM_FOLD({s.op}, {self.tags[dtype]}, {register}, {text});")
        else:
            self.add(f"{register} = {combine(s.op, dtype, register, text)};")

    def _accumulate_wide(self, s: Accumulate, register: str, dtype: str) -> str:
        """Combine more lanes than usual with as wide an accumulator, or the sums of neighbours with a usual one."""
        if is_sum(s):
            (source,) = s.value.args
            return f"{register} += vsum_{self.tags[source.dtype]}({self._stored(source)});"
        mask = self.masks["bool"] if dtype == "bool" else ""
        text = self.vector(self.value(s.value), dtype, mask)
        return f"{register}_wide = {combine(s.op, dtype, f'{register}_wide', text, self.tags)};"

    def accumulate_memory(self, s: Accumulate, pointer: str) -> None:
        """Combine each lane with its own element in memory."""
        dtype, tag = s.value.dtype, self.tags[s.value.dtype]
        start, stride = self.address(s.index)
        assert stride is not None
        old = strided_load(dtype, tag, f"{pointer} + {start}", stride, self.partial)
        new = self._stored(s.value)
        self.store(Store(s.buffer, s.index, s.value), pointer, combine(s.op, dtype, old, new, self.tags))
