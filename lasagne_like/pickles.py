"""A safe reader for weight files pickled by Lasagne programs: it executes no code from the file.

A pickle is a program, and loading it with :mod:`pickle` executes code chosen by its author. The reader in this module
executes the stack operations of a pickle but provides no functions to call: each global that the pickle names must be
one of a few that arrays require, which is replaced by a stand-in defined below; any other global is refused. NumPy's
reconstruction functions are not provided either, because a crafted ``dtype`` state makes NumPy interpret raw bytes as
object pointers. Stand-ins validate their arguments and build arrays only by ``numpy.frombuffer`` with numeric dtypes.

The model files of the Lasagne recipes are dictionaries pickled by Python 2 (protocols 0 to 2)::

    {"param values": [array, ...], "synset words": [str, ...], "mean value" or "mean image": array}
"""

from __future__ import annotations

import math
import os
import pickle
import pickletools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from .errors import ModelFileError

__all__ = [
    "RecipeWeights",
    "RefusedPickleError",
    "Sealed",
    "check_opcodes",
    "read_pickle",
    "read_recipe",
    "stand_in_for",
]


class RefusedPickleError(ModelFileError):
    """A pickle contains something other than containers, numbers, strings and numeric arrays."""


@dataclass(frozen=True)
class RecipeWeights:
    """The content of a model file of the Lasagne recipes.

    Attributes
    ----------
    param_values : list of numpy.ndarray
        The parameter values, in the order of ``get_all_params(network)``.
    synset_words : list of str
        The names of the classes, in the order of the outputs; empty if the file has none.
    mean : numpy.ndarray or None
        The mean pixel or mean image to subtract from inputs.
    extra : dict
        The remaining entries of the file, such as the type of the model, by name.
    """

    param_values: list[np.ndarray]
    synset_words: list[str] = field(default_factory=list)
    mean: np.ndarray | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class Sealed:
    """Base class of stand-ins for globals: a pickle can call them but not modify them."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise RefusedPickleError("the pickle tries to alter a global")


class _Dtype:
    """Stand-in for a ``numpy.dtype`` of a numeric type; :meth:`resolve` returns the dtype."""

    __slots__ = ("code", "order")

    _CODES = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or code not in self._CODES:
            raise RefusedPickleError(
                f"the pickle holds an array of dtype {code!r}; supported are {', '.join(sorted(self._CODES))}"
            )
        self.code, self.order = code, "|"

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, field names, fields, item size, alignment[, flags[, metadata]])
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "=", "|"):
            raise RefusedPickleError(f"the pickle holds a dtype state {state!r} that is not NumPy's")
        if any(part is not None for part in state[2:5]):
            raise RefusedPickleError("the pickle holds an array of a structured dtype; only numbers are supported")
        self.order = state[1]

    def resolve(self) -> np.dtype:
        if self.code == "b1":
            return np.dtype(bool)
        return np.dtype(("" if self.order in "=|" else self.order) + self.code)


class _Array:
    """Stand-in for an array under reconstruction; its value is None until its state is set."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: object) -> None:
        # (version,) shape, dtype, is Fortran-ordered, items; early versions of NumPy omit the version
        if isinstance(state, tuple) and len(state) == 5:
            state = state[1:]
        if not isinstance(state, tuple) or len(state) != 4:
            raise RefusedPickleError("the pickle holds an array state that is not NumPy's")
        shape, dtype, fortran, items = state
        if not isinstance(dtype, _Dtype):
            raise RefusedPickleError("the pickle holds an array without a dtype")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise RefusedPickleError(f"the pickle holds an array of shape {shape!r}")
        self.value = _from_items(items, dtype.resolve(), shape, "F" if fortran else "C")


def _from_items(items: object, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> Any:
    data = _as_bytes(items)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise RefusedPickleError(
            f"the pickle holds {len(data)} bytes for an array of shape {shape} and dtype {dtype.name}, "
            f"which needs {math.prod(shape) * dtype.itemsize}"
        )
    array = np.frombuffer(data, dtype).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="), order="C")


def _as_bytes(items: object) -> bytes:
    if isinstance(items, str):
        # Byte strings of Python 2 are decoded as latin-1, which maps each byte to one character.
        try:
            return items.encode("latin-1")
        except UnicodeEncodeError as error:
            raise RefusedPickleError("the pickle holds array items that are not bytes") from error
    if isinstance(items, bytes | bytearray):
        return bytes(items)
    raise RefusedPickleError(f"the pickle holds array items of type {type(items).__name__}, expected bytes")


class _NdarrayName(Sealed):
    """Stand-in for the class ``numpy.ndarray``, which pickles only pass to ``_reconstruct``."""


class _MakeDtype(Sealed):
    """``numpy.dtype(code, align, copy)``."""

    def __call__(self, code: object, *flags: object) -> _Dtype:
        return _Dtype(code)


class _Reconstruct(Sealed):
    """``numpy.core.multiarray._reconstruct(ndarray, (0,), 'b')``."""

    def __call__(self, kind: object, *start: object) -> _Array:
        if not isinstance(kind, _NdarrayName):
            raise RefusedPickleError(f"the pickle reconstructs a {type(kind).__name__}; only numpy.ndarray is read")
        return _Array()


class _Scalar(Sealed):
    """``numpy.core.multiarray.scalar(dtype, items)``."""

    def __call__(self, dtype: object, items: object = b"") -> np.generic:
        if not isinstance(dtype, _Dtype):
            raise RefusedPickleError("the pickle holds a scalar without a dtype")
        return _from_items(items, dtype.resolve(), (), "C")[()]


class _Encode(Sealed):
    """``_codecs.encode(text, 'latin1')``: the form of bytes in protocols 0 to 2 of Python 3."""

    def __call__(self, text: object, encoding: object = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise RefusedPickleError(f"the pickle calls _codecs.encode with encoding {encoding!r}, expected 'latin1'")
        return _as_bytes(text)


class _EmptyBytes(Sealed):
    """``bytes()``: the form of empty bytes in protocols 0 to 2 of Python 3."""

    def __call__(self) -> bytes:
        return b""


class _FromBuffer(Sealed):
    """``numpy.core.numeric._frombuffer(items, dtype, shape, order)`` of protocol 5."""

    def __call__(self, items: object, dtype: object, shape: object, order: object, *axes: object) -> _Array:
        if order not in ("C", "F"):
            raise RefusedPickleError(f"the pickle holds an array of order {order!r}, expected 'C' or 'F'")
        array = _Array()
        array.__setstate__((shape, dtype, order == "F", items))
        return array


_ALLOWED = {
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _MakeDtype,
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy._core.multiarray", "scalar"): _Scalar,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer,
    ("_codecs", "encode"): _Encode,
    ("__builtin__", "bytes"): _EmptyBytes,
    ("builtins", "bytes"): _EmptyBytes,
}


def stand_in_for(module: str, name: str) -> object:
    """Return the stand-in for a global that a pickle names; raise RefusedPickleError if arrays do not need it."""
    stand_in = _ALLOWED.get((module, name))
    if stand_in is None:
        allowed = ", ".join(sorted(".".join(key) for key in _ALLOWED))
        raise RefusedPickleError(
            f"the pickle asks for {module}.{name}, which a weight file does not need: refused, "
            f"no code was executed. Supported are arrays, numbers, strings and containers (globals {allowed})"
        )
    return stand_in()


class _Reader(pickle.Unpickler):
    """An unpickler that resolves only the globals in ``_ALLOWED``."""

    def find_class(self, module: str, name: str) -> object:
        return stand_in_for(module, name)

    def persistent_load(self, pid: object) -> object:
        raise RefusedPickleError(f"the pickle refers to an object outside itself ({pid!r}): refused")


def check_opcodes(file: BinaryIO) -> None:
    """Refuse a pickle with lengths beyond the end of the file or huge indices, for which an unpickler allocates memory.

    The position in the file is not changed.
    """
    begin = file.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("LONG_BINPUT", "PUT") and int(argument or 0) > 2 * count + 1000:
            raise RefusedPickleError(f"the pickle writes to the place {argument} of its memo: refused")
        if opcode.name in ("NEXT_BUFFER", "READONLY_BUFFER"):
            raise RefusedPickleError(f"the pickle uses {opcode.name}, which weight files do not contain: refused")
    file.seek(begin)


def read_pickle(source: str | os.PathLike | BinaryIO) -> Any:
    """Read containers, numbers, strings and numeric arrays from a pickle without executing code from it.

    Parameters
    ----------
    source : path or binary file
        A pickle of any protocol, written by Python 2 (byte strings are decoded as latin-1) or Python 3.

    Returns
    -------
    object
        Dictionaries, lists, tuples, sets, strings, numbers and :class:`numpy.ndarray` in native byte order.

    Raises
    ------
    RefusedPickleError
        If the pickle refers to another global, which the message names, or holds arrays that are not numeric.
    ModelFileError
        If the file is not a pickle, or is truncated.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return read_pickle(file)
    try:
        begin = source.tell()
        first = source.read(1)
        source.seek(begin)
        if first == b"\x80":  # older protocols hold texts that only the unpickler itself decodes
            check_opcodes(source)
        content = _Reader(source, encoding="latin1").load()
    except RefusedPickleError:
        raise
    except Exception as error:
        # A damaged pickle can raise any exception, from a short read to an unhashable key.
        raise ModelFileError(f"not a supported pickle, or damaged: {type(error).__name__}: {error}") from error
    return _finished(content)


_DEEPEST = 100


def _finished(content: Any, done: dict[int, tuple[Any, Any]] | None = None, depth: int = 0) -> Any:
    """Replace the stand-ins in nested containers by the values they represent; shared containers stay shared."""
    if isinstance(content, _Array | _Dtype | Sealed):
        return _plain(content)
    if not isinstance(content, dict | list | tuple | set | frozenset):
        return content
    if depth > _DEEPEST:
        raise RefusedPickleError(f"the pickle nests containers more than {_DEEPEST} deep")
    done = {} if done is None else done
    if id(content) in done:
        return done[id(content)][1]
    if isinstance(content, dict | list):
        # Registered before its items are visited: a container may contain itself.
        done[id(content)] = (content, content)
        for key, item in list(content.items() if isinstance(content, dict) else enumerate(content)):
            content[key] = _finished(item, done, depth + 1)
        return content
    result = type(content)(_finished(item, done, depth + 1) for item in content)
    # Keep the old tuple alive: otherwise its id could be reused by another object.
    done[id(content)] = (content, result)
    return result


def _plain(item: object) -> Any:
    if isinstance(item, _Array):
        if item.value is None:
            raise RefusedPickleError("the pickle holds an array without its items")
        return item.value
    if isinstance(item, _Dtype):
        return item.resolve()
    raise RefusedPickleError("the pickle holds a global as a value")


def read_recipe(path: str | os.PathLike) -> RecipeWeights:
    """Read a model file of the Lasagne recipes (``vgg16.pkl``, ``vgg19.pkl``, ...).

    Parameters
    ----------
    path : path
        The pickle file.

    Returns
    -------
    RecipeWeights
        The parameter values in order, the class names and the mean.

    Raises
    ------
    RefusedPickleError
        See :func:`read_pickle`.
    ModelFileError
        If the pickle is damaged, or holds no list of arrays under ``"param values"`` (or ``"values"``).
    """
    path = Path(path)
    content = read_pickle(path)
    if isinstance(content, list):
        content = {"param values": content}
    if not isinstance(content, dict):
        raise ModelFileError(f"{path} holds a {type(content).__name__}, expected a dictionary with 'param values'")
    rest = dict(content)
    values = rest.pop("param values", None)
    if values is None:
        values = rest.pop("values", None)
    if not isinstance(values, list | tuple) or not all(isinstance(v, np.ndarray | np.generic) for v in values):
        keys = ", ".join(repr(key) for key in content)
        raise ModelFileError(f"{path} has no list of arrays under 'param values' (its keys: {keys})")
    words = rest.pop("synset words", None)
    if words is None:
        words = rest.pop("synset_words", [])
    means = [rest.pop(key, None) for key in ("mean value", "mean image", "mean_value", "mean_image")]
    mean = next((np.asarray(m) for m in means if m is not None), None)
    return RecipeWeights([np.asarray(v) for v in values], [str(word) for word in words], mean, rest)
