"""Reading weight files that old Lasagne programs pickled, without running anything they contain.

A pickle is a program: whoever loads one with :mod:`pickle` runs what its author wrote. The reader here executes the
pickle's stack operations but gives it nothing to call: every global it names is either one of a few that an array
needs, each answered by a stand-in written below, or refused by name. NumPy's own reconstruction functions are never
handed over either, because a crafted ``dtype`` state makes NumPy take raw bytes for object pointers. Stand-ins check
everything and build arrays only with ``numpy.frombuffer`` of plain numeric types.

The file format of the Lasagne recipes' model zoo is a dictionary pickled by Python 2 (protocols 0 to 2)::

    {"param values": [array, ...], "synset words": [str, ...], "mean value" or "mean image": array}
"""

from __future__ import annotations

import math
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

__all__ = ["RecipeWeights", "RefusedPickleError", "read_pickle", "read_recipe"]


class RefusedPickleError(ValueError):
    """A pickle asked for something other than plain containers, numbers, texts and numeric arrays."""


@dataclass(frozen=True)
class RecipeWeights:
    """What a model of the Lasagne recipes holds.

    Attributes
    ----------
    param_values : list of numpy.ndarray
        Parameter values in the order of ``get_all_params(network)``.
    synset_words : list of str
        Names of the classes, in the order of the outputs; empty if the file has none.
    mean : numpy.ndarray or None
        Mean pixel or mean image to subtract from the input.
    extra : dict
        Whatever else the file holds (for example the model's type), by name.
    """

    param_values: list[np.ndarray]
    synset_words: list[str] = field(default_factory=list)
    mean: np.ndarray | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class _StandIn:
    """A global that a pickle may name; unpickled programs can call it but not alter it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise RefusedPickleError("the pickle tries to alter a global")


class _Dtype:
    """Stand-in for ``numpy.dtype``: plain numeric types alone, resolved by :meth:`resolve`."""

    __slots__ = ("code", "order")

    _CODES = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or code not in self._CODES:
            raise RefusedPickleError(
                f"the pickle holds an array of dtype {code!r}; readable are {', '.join(sorted(self._CODES))}"
            )
        self.code, self.order = code, "|"

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, field names, fields, item size, alignment[, flags[, metadata]])
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "=", "|"):
            raise RefusedPickleError(f"the pickle holds a dtype state {state!r} that is not NumPy's")
        if any(part is not None for part in state[2:5]):
            raise RefusedPickleError("the pickle holds an array of a structured dtype; only plain numbers are readable")
        self.order = state[1]

    def resolve(self) -> np.dtype:
        if self.code == "b1":
            return np.dtype(bool)
        return np.dtype(("" if self.order in "=|" else self.order) + self.code)


class _Array:
    """Stand-in for an array under reconstruction: empty until its state arrives."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: object) -> None:
        # (version,) shape, dtype, is Fortran-ordered, items; Python 2's first NumPy left the version out
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
        # Python 2's byte strings arrive as text decoded with latin-1, which maps every byte to one character.
        try:
            return items.encode("latin-1")
        except UnicodeEncodeError as error:
            raise RefusedPickleError("the pickle holds array items that are no bytes") from error
    if isinstance(items, bytes | bytearray):
        return bytes(items)
    raise RefusedPickleError(f"the pickle holds array items of type {type(items).__name__}, expected bytes")


class _NdarrayName(_StandIn):
    """Stand-in for the class ``numpy.ndarray``, which pickles only pass on to ``_reconstruct``."""


class _MakeDtype(_StandIn):
    """``numpy.dtype(code, align, copy)``."""

    def __call__(self, code: object, *flags: object) -> _Dtype:
        return _Dtype(code)


class _Reconstruct(_StandIn):
    """``numpy.core.multiarray._reconstruct(ndarray, (0,), 'b')``."""

    def __call__(self, kind: object, *start: object) -> _Array:
        if not isinstance(kind, _NdarrayName):
            raise RefusedPickleError(f"the pickle reconstructs a {type(kind).__name__}, only numpy.ndarray is readable")
        return _Array()


class _Scalar(_StandIn):
    """``numpy.core.multiarray.scalar(dtype, items)``."""

    def __call__(self, dtype: object, items: object = b"") -> np.generic:
        if not isinstance(dtype, _Dtype):
            raise RefusedPickleError("the pickle holds a scalar without a dtype")
        return _from_items(items, dtype.resolve(), (), "C")[()]


class _Encode(_StandIn):
    """``_codecs.encode(text, 'latin1')``: how Python 3 writes bytes in old protocols."""

    def __call__(self, text: object, encoding: object = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise RefusedPickleError(f"the pickle calls _codecs.encode with encoding {encoding!r}, expected 'latin1'")
        return _as_bytes(text)


class _EmptyBytes(_StandIn):
    """``bytes()``: how Python 3 writes empty bytes in old protocols."""

    def __call__(self) -> bytes:
        return b""


class _FromBuffer(_StandIn):
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


class _Reader(pickle.Unpickler):
    """An unpickler for which only the globals above exist."""

    def find_class(self, module: str, name: str) -> object:
        stand_in = _ALLOWED.get((module, name))
        if stand_in is None:
            allowed = ", ".join(sorted(".".join(key) for key in _ALLOWED))
            raise RefusedPickleError(
                f"the pickle asks for {module}.{name}, which a weight file does not need: refused, nothing was run. "
                f"Readable are arrays, numbers, texts and containers (globals {allowed})"
            )
        return stand_in()

    def persistent_load(self, pid: object) -> object:
        raise RefusedPickleError(f"the pickle refers to an object outside itself ({pid!r}): refused")


def read_pickle(source: str | os.PathLike | BinaryIO) -> Any:
    """Read containers, numbers, texts and numeric arrays from a pickle, running none of its code.

    Parameters
    ----------
    source : path or binary file
        Pickle of any protocol, written by Python 2 (its byte strings arrive as text, by latin-1) or 3.

    Returns
    -------
    object
        Dictionaries, lists, tuples, sets, texts, numbers and :class:`numpy.ndarray` in native byte order.

    Raises
    ------
    RefusedPickleError
        The pickle names any other global (the message says which), or holds arrays that are not plain numbers.
    ValueError
        The file is no pickle, or is cut short.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return read_pickle(file)
    try:
        content = _Reader(source, encoding="latin1").load()
    except RefusedPickleError:
        raise
    except Exception as error:
        # A damaged pickle may fail in any way, from a short read to an unhashable key.
        raise ValueError(f"not a readable pickle, or a damaged one: {type(error).__name__}: {error}") from error
    return _finished(content)


_DEEPEST = 100


def _finished(content: Any, done: dict[int, tuple[Any, Any]] | None = None, depth: int = 0) -> Any:
    """Replace the stand-ins in nested containers by what they stand for; shared containers stay shared."""
    if isinstance(content, _Array | _Dtype | _StandIn):
        return _plain(content)
    if not isinstance(content, dict | list | tuple | set | frozenset):
        return content
    if depth > _DEEPEST:
        raise RefusedPickleError(f"the pickle nests containers more than {_DEEPEST} deep")
    done = {} if done is None else done
    if id(content) in done:
        return done[id(content)][1]
    if isinstance(content, dict | list):
        # Entered before its items are: a container may contain itself.
        done[id(content)] = (content, content)
        for key, item in list(content.items() if isinstance(content, dict) else enumerate(content)):
            content[key] = _finished(item, done, depth + 1)
        return content
    result = type(content)(_finished(item, done, depth + 1) for item in content)
    # The old tuple is kept too: were it freed, its id could return as another object's.
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
    """Read a model file of the Lasagne recipes' zoo (``vgg16.pkl``, ``vgg19.pkl``, ...).

    Parameters
    ----------
    path : path
        The pickle.

    Returns
    -------
    RecipeWeights
        Parameter values in order, class names and mean.

    Raises
    ------
    RefusedPickleError
        See :func:`read_pickle`.
    ValueError
        The pickle is damaged, or holds no list of arrays under ``"param values"`` (or ``"values"``).
    """
    path = Path(path)
    content = read_pickle(path)
    if isinstance(content, list):
        content = {"param values": content}
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected a dictionary with 'param values'")
    rest = dict(content)
    values = rest.pop("param values", None)
    if values is None:
        values = rest.pop("values", None)
    if not isinstance(values, list | tuple) or not all(isinstance(v, np.ndarray | np.generic) for v in values):
        keys = ", ".join(repr(key) for key in content)
        raise ValueError(f"{path} has no list of arrays under 'param values' (its keys: {keys})")
    words = rest.pop("synset words", None)
    if words is None:
        words = rest.pop("synset_words", [])
    means = [rest.pop(key, None) for key in ("mean value", "mean image", "mean_value", "mean_image")]
    mean = next((np.asarray(m) for m in means if m is not None), None)
    return RecipeWeights([np.asarray(v) for v in values], [str(word) for word in words], mean, rest)
