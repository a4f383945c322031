"""The C functions of a program's kernels, of which there are as few as possible, and as short.

Kernels of one text share a function. So do three or more that differ in floating-point constants alone, such as the
outputs of ``[exp(k * x) for k in range(1000)]``: the C compiler takes as long over each of them as over the first, and
the constants are as good as arguments. Lengths and offsets are better known to the compiler, so that it takes many
kernels that differ in those to share one.

A vector function that a kernel calls many times is called, and not expanded at each of these places: the C compiler is
done in a sixth of the time, and the code fits into the cache.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from symc.loops.functions import FUNCTIONS
from symc.loops.ir import Step
from symc_backends.c.kernel_text import KernelText
from symc_backends.c.simd_loops import INTERLEAVED, JAMMED

__all__ = ["Functions"]

MANY_CALLS = 16
"""Calls of one vector function in a kernel, from which on it is not expanded."""
FEW = 3
"""Kernels that differ in floating-point constants alone, from which on they share a function."""
MANY = 16
"""Kernels that differ in constants of any kind, likewise."""

_FLOAT = r"\b0x[0-9a-f]\.[0-9a-f]+p[+-]\d+f?"
_FLOATS = re.compile(rf"({_FLOAT})")
_NUMBERS = re.compile(rf"({_FLOAT}|(?<![\w.])\d+L\b)")
_CALL = re.compile(r"\bvm_(\w+)_(f32|f64)(?=\()")
_PRELUDE = "(void)b; (void)n;\n"


class Functions:
    """The C functions of steps: ``texts`` in order; ``of`` returns the function and the constants of a step.

    ``called`` are definitions of vector functions that the texts call. ``unread`` are, by the ``id`` of a step, the
    buffers that no other step uses.
    """

    def __init__(self, steps: Iterable[Step], unread: Mapping[int, frozenset[int]]) -> None:
        self._unread = unread
        distinct = {self._key(step): step.kernel for step in steps}
        bodies = {key: KernelText(k, key[1]).text("@") for key, k in distinct.items()}
        dims = {body: distinct[key].dims for key, body in bodies.items()}
        shared = _alike(dims, _NUMBERS, MANY)
        shared |= _alike({body: n for body, n in dims.items() if body not in shared}, _FLOATS, FEW)
        self._known: dict[tuple[int, frozenset[int]], tuple[str, list[str]]] = {}
        names: dict[str, str] = {}
        for key, body in bodies.items():
            form, constants = shared.get(body, (body, []))
            self._known[key] = (names.setdefault(form, f"k{len(names)}"), constants)
        called: dict[str, None] = {}
        self.texts = {name: _calling(body.replace("@", name), called) for body, name in names.items()}
        self.called = list(called)

    def _key(self, step: Step) -> tuple[int, frozenset[int]]:
        return id(step.kernel), self._unread.get(id(step), frozenset())

    def of(self, step: Step) -> tuple[str, Sequence[str]]:
        """Return the name of the function of a step, and the constants that follow the dims in ``n``, as bits."""
        return self._known[self._key(step)]


def _calling(text: str, called: dict[str, None]) -> str:
    """The text with calls of ``vo_`` functions in place of ``vm_`` ones that it would expand too often."""
    counts = Counter(_CALL.findall(text))
    most = MANY_CALLS * (INTERLEAVED if JAMMED in text else 1)
    many = {found for found, n in counts.items() if n >= most and found[0] in FUNCTIONS}
    many = {(name, tag) for name, tag in many if FUNCTIONS[name].costly and name != "sqrt"}
    for name, tag in sorted(many):
        define = _of_pieces if tag == "f64" else _of_vectors
        called.setdefault(define(name, tag, ["a", "b"][: FUNCTIONS[name].arity]))
    return _CALL.sub(lambda m: f"vo_{m[1]}_{m[2]}" if (m[1], m[2]) in many else m[0], text) if many else text


def _of_vectors(name: str, tag: str, names: Sequence[str]) -> str:
    """The definition of a function that is called with values of a register each."""
    parameters = ", ".join(f"v_{tag} {a}" for a in names)
    return f"VM_OUTLINE v_{tag} vo_{name}_{tag}({parameters}) {{ return vm_{name}_{tag}({', '.join(names)}); }}"


def _of_pieces(name: str, tag: str, names: Sequence[str]) -> str:
    """The same for values of two registers, which go through memory word by word if they are passed as a whole."""
    pieces = ", ".join(f"vp_{tag} {a}_0, vp_{tag} {a}_1" for a in names)
    joined = " ".join(f"const vu_{tag} {a} = {{.p = {{{a}_0, {a}_1}}}};" for a in names)
    result = f"const vu_{tag} r = {{vm_{name}_{tag}({', '.join(f'{a}.v' for a in names)})}};"
    parameters = ", ".join(f"v_{tag} {a}" for a in names)
    divided = " ".join(f"const vu_{tag} {a}_ = {{{a}}};" for a in names)
    given = ", ".join(f"{a}_.p[{k}]" for a in names for k in (0, 1))
    return (
        f"VM_OUTLINE vp_{tag} vo_{name}_{tag}_pieces({pieces}, vp_{tag} *second) "
        f"{{ {joined} {result} *second = r.p[1]; return r.p[0]; }}\n"
        f"VM_INLINE v_{tag} vo_{name}_{tag}({parameters}) {{ {divided} vp_{tag} second; "
        f"const vp_{tag} first = vo_{name}_{tag}_pieces({given}, &second); "
        f"return ((vu_{tag}){{.p = {{first, second}}}}).v; }}"
    )


def _alike(dims: Mapping[str, int], number: re.Pattern[str], fewest: int) -> dict[str, tuple[str, list[str]]]:
    """For texts of which at least ``fewest`` differ in numbers alone: the function they share, and their constants.

    ``dims`` are the texts, with the count of dims of each.
    """
    groups: dict[tuple[str, int], dict[str, list[str]]] = {}
    for body, n in dims.items():
        pieces = number.split(body)  # text and numbers in turn
        groups.setdefault(("#".join(pieces[::2]), n), {})[body] = pieces[1::2]
    found: dict[str, tuple[str, list[str]]] = {}
    for (_, n), bodies in groups.items():
        if len(bodies) >= fewest:
            places = _varying(list(bodies.values()))
            found |= {body: _with_arguments(body, number, places, n) for body in bodies}
    return found


def _varying(numbers: Sequence[Sequence[str]]) -> dict[int, int]:
    """Map positions at which the lists differ to argument numbers; positions that vary equally share one."""
    arguments: dict[tuple[str, ...], int] = {}
    columns = {k: found for k, found in enumerate(zip(*numbers)) if len(set(found)) > 1}
    return {k: arguments.setdefault(found, len(arguments)) for k, found in columns.items()}


def _with_arguments(body: str, number: re.Pattern[str], places: Mapping[int, int], dims: int) -> tuple[str, list[str]]:
    """Replace the numbers at these positions by arguments in ``n`` after the dims; also returns the numbers' bits."""
    values: dict[int, str] = {}
    position = count()

    def argument(match: re.Match[str]) -> str:
        k = places.get(next(position))
        if k is None:
            return match.group()
        values[k] = match.group()
        return f"c{k}_"

    body = number.sub(argument, body)
    lines = []
    for k in range(len(values)):
        at = f"n[{dims + k}]"
        if values[k].endswith("L"):
            lines.append(f"const int64_t c{k}_ = {at}; (void)c{k}_;\n")
        else:
            kind, ctype = ("f32", "float") if values[k].endswith("f") else ("f64", "double")
            lines.append(f"const {ctype} c{k}_ = sx_bits_{kind}({at}); (void)c{k}_;\n")
    return body.replace(_PRELUDE, _PRELUDE + "".join(lines)), [_bits(values[k]) for k in range(len(values))]


def _bits(text: str) -> str:
    """The bits of a number as a C integer."""
    if text.endswith("L"):
        return text
    if text.endswith("f"):
        return str(struct.unpack("<i", struct.pack("<f", float.fromhex(text[:-1])))[0])
    (number,) = struct.unpack("<q", struct.pack("<d", float.fromhex(text)))
    return f"{number}LL"
