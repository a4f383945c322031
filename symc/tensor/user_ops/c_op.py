"""Ops with C code of users: ``COp`` as a class, ``c_op`` from a NumPy function and the body of a C function."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from inspect import signature
from typing import Any

from symc.errors import DTypeError, located
from symc.graph import Apply
from symc.graph.argument_faults import explain_faults
from symc.loops.ir import Code, Native
from symc.tensor.user_ops.decorated_op import FunctionOp, as_list
from symc.tensor.user_ops.python_op import PythonOp

__all__ = ["COp", "c_op"]

_CTYPES = {
    "bool": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t",
    "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t", "float32": "float", "float64": "double",
}  # fmt: skip


class COp(PythonOp):
    """Base class of ops with C code, which the C back end compiles into the program.

    A subclass defines, besides the methods of :class:`symc.Op`, ``c_code(node)``, which returns the body of a C
    function. Other back ends run ``perform``, which must compute the same. ``infer_shape`` is required unless the types
    of the outputs have known lengths, since the memory of the outputs is allocated before the code runs.

    In the code, an array named ``x`` consists of

    ``x``
        the pointer to its first element; the array is C-contiguous. Inputs are ``const``, and outputs, which hold
        nothing yet, never overlap them;
    ``x_type``
        the C type of its elements: ``float``, ``double``, ``int64_t``, ``uint8_t`` for bool, and so on;
    ``x_shape``
        its lengths, ``const int64_t *``;
    ``x_size``
        the number of its elements, ``int64_t``.

    ``FAIL("message")`` ends the call with a ``RuntimeError``. Names that end with an underscore are reserved.

    Attributes
    ----------
    arguments, results : sequence of str, optional
        The names of the inputs and outputs in the code; by default ``x0``, ``x1``, ... and ``y0``, ``y1``, ...

    Examples
    --------
    >>> class Doubled(symc.COp):
    ...     __props__ = ()
    ...     itypes, otypes = [1], [1]
    ...     arguments, results = ["x"], ["y"]
    ...     def c_code(self, node):
    ...         return "for (int64_t i = 0; i < x_size; i++) y[i] = 2 * x[i];"
    ...     def perform(self, node, inputs, output_storage):
    ...         output_storage[0][0] = 2 * inputs[0]
    ...     def infer_shape(self, node, shapes):
    ...         return shapes
    """

    arguments: Sequence[str] | None = None
    results: Sequence[str] | None = None

    def c_code(self, node: Apply) -> str:
        """Return the statements of the C function for an application; ``node`` has the dtypes."""
        raise NotImplementedError(f"{type(self).__name__} must define c_code(node)")

    def c_support_code(self) -> str:
        """Return what precedes the C function: ``#include`` lines, ``static`` functions."""
        return ""

    def native(self, node: Apply) -> Native:
        """The C function for an application."""
        arrays = [*zip(self._names(self.results, "y", node.outputs), node.outputs)]
        arrays += zip(self._names(self.arguments, "x", node.inputs), node.inputs)
        lines, at = [], 0
        for k, (name, v) in enumerate(arrays):
            ctype = _CTYPES.get(v.dtype)
            if ctype is None:
                raise DTypeError(located(f"{self.name}: C code cannot work on {v.dtype}", [v], "cast it to float32"))
            const = "" if k < len(node.outputs) else "const "
            count = "".join(f" * n_[{at + axis}]" for axis in range(v.ndim))
            lines += [
                f"typedef {ctype} {name}_type; {const}{name}_type *restrict const {name} = b_[{k}];",
                f"const int64_t *const {name}_shape = n_ + {at}; const int64_t {name}_size = 1{count};",
                f"(void){name}; (void){name}_shape; (void){name}_size;",
            ]
            at += v.ndim
        shown = re.sub(r"[^\w .,={}]", "", self.name)  # for the messages of the compiler
        body = "\n".join([
            "{", "(void)b_; (void)n_;", *lines,
            f"#define FAIL(message) do {{ *(const char **)b_[{len(arrays)}] = (message); return; }} while (0)",
            "{", f'#line 1 "{shown}"', self.c_code(node), "}", "#undef FAIL", "}",
        ])  # fmt: skip
        support = self.c_support_code()
        digest = sha256(f"{support}\0{body}".encode()).hexdigest()[:16]
        location = node.outputs[0].location

        def error(message: str) -> Exception:
            return RuntimeError(located(f"{self.name}: {message}", node.inputs, location=location))

        sizes = tuple(n for _, v in arrays for n in v.type.shape)
        return Native(f"user_{digest}", sizes, Code(support, body), error=error)

    def _names(self, given: Sequence[str] | None, letter: str, of: Sequence[Any]) -> list[str]:
        if given is None:
            return [f"{letter}{k}" for k in range(len(of))]
        if len(given) != len(of):
            raise ValueError(located(f"{self.name}: {len(given)} names {tuple(given)} for {len(of)} arrays"))
        return list(given)


class _CFunction(FunctionOp, COp):
    """A function of NumPy arrays with C code that does the same."""

    def __init__(self, code: Any, support: str, arguments: list[str], results: list[str], *declared: Any) -> None:
        super().__init__(*declared)
        self.code = code
        self.support = support
        self.arguments = arguments
        self.results = results

    def c_code(self, node: Apply) -> str:
        return self.code(node) if callable(self.code) else self.code

    def c_support_code(self) -> str:
        return self.support


def c_op(
    itypes: Any,
    otypes: Any,
    code: str | Callable[[Apply], str],
    infer_shape: Callable[..., Any] | None = None,
    grad: Callable[..., Any] | None = None,
    results: Sequence[str] | None = None,
    support: str = "",
) -> Any:
    """Create an op from the body of a C function, and a NumPy function that computes the same; a decorator.

    The C back end compiles the code into the program; other back ends run the function. ``symc.testing.check_op``
    compares the two.

    Parameters
    ----------
    itypes, otypes : type, constructor, int, or sequence of these
        As in :func:`symc.as_op`; with integers, the same code serves float32 and float64.
    code : str or callable
        C statements, in which arrays have the names that :class:`symc.COp` describes: inputs those of the function's
        parameters, a single output ``out``, several ``out0``, ``out1``, ... A callable maps the application, whose
        inputs have dtypes, to the statements.
    infer_shape : callable, optional
        ``infer_shape(node, shapes)``; required unless the types of the outputs have known lengths.
    grad : callable, optional
        ``grad(inputs, output_gradients)``.
    results : sequence of str, optional
        Names of the outputs in the code.
    support : str
        What precedes the C function: ``#include`` lines, ``static`` functions.

    Examples
    --------
    >>> @symc.c_op(itypes=[2], otypes=[1], infer_shape=lambda node, shapes: [shapes[0][:1]], code='''
    ...     for (int64_t i = 0; i < x_shape[0]; i++) {
    ...         out[i] = 0;
    ...         for (int64_t k = 0; k < x_shape[1]; k++) out[i] += x[i * x_shape[1] + k];
    ...     }
    ... ''')
    ... def row_sums(x):
    ...     return x.sum(1)
    """
    ins, outs = as_list(itypes), as_list(otypes)
    named = list(results or (["out"] if len(outs) == 1 else [f"out{k}" for k in range(len(outs))]))

    def decorate(function: Callable[..., Any]) -> _CFunction:
        arguments = list(signature(function).parameters)
        return _CFunction(code, support, arguments, named, function, ins, outs, infer_shape, grad)

    return decorate


explain_faults(globals())
