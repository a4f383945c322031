"""Small helpers that programs imported from Theano: what differed between versions of Python and NumPy, pickles."""

from __future__ import annotations

import builtins
import io
import itertools
import operator
import pickle
import subprocess
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, MutableMapping
from functools import partial, reduce
from io import StringIO
from typing import Any

import numpy as np

from symc.sparse.variables import SparseType, is_scipy

__all__ = [
    "_asarray", "all", "any", "attr", "BytesIO", "call_subprocess_Popen", "cmp", "Counter", "decode",
    "decode_iter", "defaultdict", "DefaultOrderedDict", "DictMixin", "dump", "exc_message", "force_unlock",
    "full_version", "get_lock", "get_unbound_function", "ifilter", "imap", "integer_types", "iteritems",
    "itervalues", "izip", "load", "maxsize", "may_share_memory", "operator_div", "OrderedDict",
    "output_subprocess_Popen", "partial", "product", "PY3", "pycuda_available", "reduce", "release_lock",
    "set_lock_status", "short_version", "string_types", "StringIO", "subprocess_Popen", "version",
]  # fmt: skip

PY3 = True
BytesIO = io.BytesIO
any, all = builtins.any, builtins.all
string_types, integer_types = (str,), (int,)
izip, imap, ifilter = builtins.zip, builtins.map, builtins.filter
product = itertools.product
operator_div = operator.truediv
maxsize = 2**63 - 1
DefaultOrderedDict = defaultdict
DictMixin = MutableMapping
pycuda_available = False
version = short_version = full_version = "1.0.5"
subprocess_Popen = subprocess.Popen  # noqa: N816 - Theano's name


def iteritems(mapping: Any) -> Iterable[Any]:
    """The items of a dict."""
    return iter(mapping.items())


def itervalues(mapping: Any) -> Iterable[Any]:
    """The values of a dict."""
    return iter(mapping.values())


def cmp(a: Any, b: Any) -> int:
    """-1, 0 or 1, as ``a`` is less than, equal to or greater than ``b``."""
    return (a > b) - (a < b)


def decode(text: Any) -> str:
    """Text from bytes."""
    return text.decode() if isinstance(text, bytes) else text


decode_iter = partial(map, decode)


def exc_message(problem: BaseException) -> Any:
    """The message of an exception."""
    return problem.args[0] if problem.args else ""


def get_unbound_function(method: Any) -> Callable[..., Any]:
    """The function of a method."""
    return getattr(method, "__func__", method)


def _asarray(a: Any, dtype: Any, order: Any = None) -> np.ndarray:
    """``numpy.asarray``, with ``"floatX"`` as a dtype."""
    from symc.graph.dtypes import as_dtype

    return np.asarray(a, dtype=as_dtype(dtype), order=order)


def dump(obj: Any, file_handler: Any, protocol: int = pickle.HIGHEST_PROTOCOL, **ignored: Any) -> None:
    """Pickle an object to an open file."""
    pickle.dump(obj, file_handler, protocol)


def load(f: Any, **ignored: Any) -> Any:
    """Unpickle an object that ``dump`` wrote, from an open file. Load only files that you trust."""
    return pickle.load(f)


def may_share_memory(a: Any, b: Any, raise_other_type: bool = True) -> bool:
    """Whether two arrays, or sparse matrices of SciPy, may overlap in memory."""
    if is_scipy(a) or is_scipy(b):
        known = all(is_scipy(v) or isinstance(v, np.ndarray) for v in (a, b))
        if not known and raise_other_type:
            raise TypeError(f"may_share_memory: expected arrays or sparse matrices, got {type(a)} and {type(b)}")
        return known and SparseType.may_share_memory(a, b)
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        if raise_other_type:
            raise TypeError(f"may_share_memory: expected arrays, got {type(a)} and {type(b)}")
        return False
    return np.may_share_memory(a, b)


def call_subprocess_Popen(command: Any, **options: Any) -> int:  # noqa: N802 - Theano's name
    """Run a command without showing what it writes; its exit status."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(command, **{**quiet, **options}).returncode


def output_subprocess_Popen(command: Any, **options: Any) -> tuple[bytes, bytes, int]:  # noqa: N802
    """Run a command; what it wrote, its errors, and its exit status."""
    done = subprocess.run(command, capture_output=True, **options)
    return done.stdout, done.stderr, done.returncode


def get_lock(*args: Any, **kwargs: Any) -> None:
    """Do nothing: the cache of compiled kernels needs no lock of the program."""


release_lock = set_lock_status = force_unlock = get_lock


def attr(*tags: str) -> Callable[[Any], Any]:
    """A decorator that leaves a test as it is."""
    return lambda test: test
