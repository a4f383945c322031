"""Declarations of the C functions in generated code and the run-time library, and their ``ffi`` object.

cffi parses declarations with a C parser written in Python, which takes longer than compiling a small function. The
result is therefore cached, as literals.
"""

from __future__ import annotations

import ast
import io
from typing import Any

from symc_backends import cache

__all__ = ["declared"]


def declared(declarations: str) -> Any:
    """Create an FFI object for C declarations; its ``dlopen`` opens libraries."""
    import _cffi_backend

    name = f"ffi-{cache.digest(declarations, _cffi_backend.__version__)}"
    text = cache.read_text(name)
    if text is None:
        text = _literals(declarations)
        cache.write_text(name, text)
    return _cffi_backend.FFI("symc", **ast.literal_eval(text))


def _literals(declarations: str) -> str:
    """The arguments with which cffi creates an FFI object for these declarations, as the text of a dict."""
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
    raise RuntimeError("cffi generates modules of an unknown form")
