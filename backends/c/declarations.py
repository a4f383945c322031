"""The C functions that generated code and the run-time library offer to Python, and the ``ffi`` that knows them.

cffi reads declarations with a C parser written in Python, which costs more than compiling a small function does. What
it makes of them is therefore kept in the cache, as literals.
"""

from __future__ import annotations

import ast
import io
from typing import Any

from symc_backends import cache

__all__ = ["declared"]


def declared(declarations: str) -> Any:
    """An FFI object for C declarations; libraries are opened with its ``dlopen``."""
    import _cffi_backend

    name = f"ffi-{cache.digest(declarations, _cffi_backend.__version__)}"
    text = cache.read_text(name)
    if text is None:
        text = _literals(declarations)
        cache.write_text(name, text)
    return _cffi_backend.FFI("symc", **ast.literal_eval(text))


def _literals(declarations: str) -> str:
    """The arguments from which cffi makes an FFI object with these declarations, as the text of a dict."""
    import cffi
    from cffi.recompiler import make_py_source

    builder = cffi.FFI()
    builder.set_source("symc", None)
    builder.cdef(declarations)
    text = io.StringIO()
    make_py_source(builder, "symc", text)
    tree = ast.parse(text.getvalue())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_cffi_backend.FFI":
            return repr({k.arg: ast.literal_eval(k.value) for k in node.keywords})
    raise RuntimeError("cffi writes its modules in a form that is not known here")
