"""The nodes of the expression graph: ``Variable``, ``Apply``, ``Constant``; conversion of values to arrays.

A ``Variable`` is a symbolic typed value; its ``owner`` is the ``Apply`` that computes it, or None for an input. Graphs
are immutable.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from math import copysign
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symc.errors import DTypeError, ShapeError, SourceLocation, TypeMismatchError, here
from symc.graph.bfloat16 import bits_of, values_of
from symc.graph.dtypes import BRAIN, as_dtype, narrowing, part_of
from symc.graph.types import TensorType

if TYPE_CHECKING:
    pass

__all__ = [
    "Apply", "Constant", "Variable", "as_array", "as_complex", "as_pairs", "convert_value", "describe_value",
    "owned_array", "refuse_masked",
]  # fmt: skip

_serial = count()


class Variable:
    """A symbolic typed value.

    Attributes
    ----------
    type : TensorType
    owner : Apply or None
        The application that computes this variable.
    index : int
        The index of this output of ``owner``.
    name : str or None
    location : SourceLocation or None
        The user's line that built it.
    """

    default_update: Variable | None = None
    kept: ClassVar[bool] = False
    """Whether an application takes a variable of this class as its output; only its type is read otherwise."""
    indexed: tuple[Variable, Any] | None = None
    """The vector and the index that a variable was read by, if it is a known scalar or a stack of them instead."""
    __array_priority__ = 1000

    def __init__(
        self,
        type: TensorType,
        owner: Apply | None = None,
        index: int = 0,
        name: str | None = None,
        location: SourceLocation | None = None,
    ) -> None:
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self.location = location
        self.serial = next(_serial)

    @property
    def dtype(self) -> str:
        """The dtype of the type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.type.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """Whether the dim is known to be 1, per axis."""
        return self.type.broadcastable

    @property
    def static_shape(self) -> tuple[int | None, ...]:
        """The shape with None for dims known only at call time."""
        return self.type.static_shape

    @property
    def tag(self) -> SimpleNamespace:
        """A namespace for a user's own annotations of this variable."""
        found = self.__dict__.get("_tag")
        if found is None:
            found = self.__dict__["_tag"] = SimpleNamespace()
        return found

    def __repr__(self) -> str:
        if self.name:
            return self.name
        if self.owner is None:
            return f"<{self.type}>"
        output = "" if len(self.owner.outputs) == 1 else f".{self.index}"
        return f"{self.owner.op.name}{output}"

    if TYPE_CHECKING:  # operators and methods are attached by symc.tensor.operators

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Variable: ...
        def __radd__(self, other: Any) -> Variable: ...
        def __sub__(self, other: Any) -> Variable: ...
        def __rsub__(self, other: Any) -> Variable: ...
        def __mul__(self, other: Any) -> Variable: ...
        def __rmul__(self, other: Any) -> Variable: ...
        def __truediv__(self, other: Any) -> Variable: ...
        def __rtruediv__(self, other: Any) -> Variable: ...
        def __floordiv__(self, other: Any) -> Variable: ...
        def __mod__(self, other: Any) -> Variable: ...
        def __pow__(self, other: Any) -> Variable: ...
        def __neg__(self) -> Variable: ...
        def __lt__(self, other: Any) -> Variable: ...
        def __le__(self, other: Any) -> Variable: ...
        def __gt__(self, other: Any) -> Variable: ...
        def __ge__(self, other: Any) -> Variable: ...
        def __and__(self, other: Any) -> Variable: ...
        def __or__(self, other: Any) -> Variable: ...
        def __invert__(self) -> Variable: ...
        def __getitem__(self, item: Any) -> Variable: ...


class Constant(Variable):
    """A constant value.

    ``weak`` marks a number written in Python without a dtype: it adapts to the arrays beside it, and ``exact`` keeps
    it as it was written, so that 0.1 beside float64 arrays is not 0.1 rounded to float32.
    """

    def __init__(self, data: Any, dtype: str | None = None, name: str | None = None, weak: bool = False) -> None:
        refuse_masked(data, "constant")
        named = None if dtype is None else as_dtype(dtype)
        if named == BRAIN:
            data = values_of(bits_of(data))
        array = np.asarray(data, dtype="float32" if named == BRAIN else named)
        self.data = np.array(array, dtype=as_dtype(array.dtype), order="C")  # a private copy: constants never change
        self.data.setflags(write=False)
        self.weak = weak
        self.exact = np.asarray(data) if weak else self.data
        super().__init__(TensorType(named or self.data.dtype.name, self.data.shape), None, 0, name, here())

    @classmethod
    def number(cls, value: bool | int | float, dtype: str | None = None, name: str | None = None) -> Constant:
        """Create a weak constant for a Python number. Equal numbers, which are frequent, share their arrays."""
        made = cls.__new__(cls)
        made.data, made.exact, type = _number(value.__class__.__name__, value, copysign(1.0, value), dtype)
        made.weak = True
        Variable.__init__(made, type, None, 0, name, here())
        return made

    @property
    def value(self) -> np.ndarray:
        """The array, under Theano's name for it."""
        return self.data

    def __repr__(self) -> str:
        return self.name or (str(self.data) if self.data.size <= 4 else f"<constant {self.type}>")


@lru_cache(maxsize=4096)
def _number(kind: str, value: Any, sign: float, dtype: str | None) -> tuple[np.ndarray, np.ndarray, TensorType]:
    """The array, the original number, and the type; ``sign`` distinguishes -0.0 from 0.0."""
    exact = np.asarray(value)
    data = exact.astype(as_dtype(exact.dtype if dtype is None else dtype))
    data.setflags(write=False)
    return data, exact, TensorType(data.dtype.name)


def as_pairs(array: np.ndarray) -> np.ndarray:
    """Real and imaginary parts of an array of complex numbers, along a new last axis: the same memory."""
    return np.ascontiguousarray(array).view(part_of(array.dtype.name)).reshape(*array.shape, 2)


def as_complex(array: np.ndarray) -> np.ndarray:
    """The array of complex numbers whose parts are along the last axis: the same memory."""
    dtype = np.result_type(array.dtype, np.complex64)
    return np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])


def owned_array(array: np.ndarray) -> np.ndarray:
    """Return the array C-contiguous, writable and aligned, so that compiled code can update it in place."""
    return np.require(array, requirements=["C", "W", "A"])


_CPU = (1, 3)
"""DLPack's types of devices whose memory NumPy can read: main memory, also if it is page-locked for CUDA."""


def as_array(value: Any, what: str) -> np.ndarray:
    """Convert ``value`` to a NumPy array; arrays and tensors of other libraries in host memory are not copied.

    Raises
    ------
    TypeError
        If ``value`` is a tensor on a device.
    """
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    try:
        if value.__dlpack_device__()[0] in _CPU:
            return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError):  # a layout or dtype that DLPack or NumPy does not have
        pass
    try:
        found = np.asarray(value)
    except (TypeError, RuntimeError) as problem:
        raise TypeError(
            f"{what}: {problem}\n  repair: give a tensor in host memory, as tensor.detach().cpu()"
        ) from None
    if found.dtype == object:
        raise TypeError(f"{what}: expected an array in host memory, got {type(value).__name__}")
    return found


def convert_value(
    value: Any, type: TensorType, what: str, strict: bool = False, allow_downcast: bool | None = None
) -> np.ndarray:
    """Convert ``value`` to an array of ``type``, or raise an error that names ``what``.

    Parameters
    ----------
    value : array_like
    type : TensorType
    what : str
        What the value is for, such as ``"f(): input 0 (x)"``.
    strict : bool
        Refuse every other dtype.
    allow_downcast : bool, optional
        True always converts. False refuses any loss of information: of an array by its dtype, of numbers written in
        Python by their values. By default floats of any width convert to the required float dtype, integers to floats,
        and integers that fit to other integers; anything that may lose more (float to int, an integer that does not
        fit) is refused.
    """
    if isinstance(value, Variable):
        raise TypeError(
            f"{what}: expected numbers, got the symbolic variable {value!r}; use givens= to replace variables"
        )
    refuse_masked(value, what)
    try:
        array = as_array(value, what)
    except ValueError as problem:
        raise ShapeError(
            f"{what}: expected an array of {type.ndim} axes, got nested lists of different lengths\n"
            f"  NumPy: {problem}\n  repair: pad the lists to one length, and pass a mask or the lengths as well"
        ) from None
    if array.dtype.name == BRAIN:
        array = values_of(bits_of(array))
    target = np.dtype("float32" if type.dtype == BRAIN else type.dtype)
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"{what}: expected numbers of dtype {type.dtype}, got {describe_value(value, array)}")
    if array.dtype != target:  # also in byte order
        if strict and array.dtype.name != target.name:
            raise DTypeError(f"{what}: expected dtype {type.dtype}, got {array.dtype.name} (strict=True)")
        allow_downcast = narrowing(value, target.name) if allow_downcast is None else allow_downcast
        typed = isinstance(value, np.ndarray) and array.size > 0  # its dtype matters, not only its values
        array = _convert_dtype(array, target, what, allow_downcast, typed)
    if array.ndim != type.ndim:
        raise TypeMismatchError(
            f"{what}: expected {type.ndim} axes ({type}), got an array of {array.ndim} axes with shape {array.shape}"
        )
    for axis, (have, want) in enumerate(zip(array.shape, type.shape)):
        if isinstance(want, int) and have != want:
            raise ShapeError(f"{what}: expected {want} on axis {axis} ({type}), got shape {array.shape}")
    return array


def describe_value(value: Any, array: np.ndarray) -> str:
    """Describe a value that is not an array of numbers, and how it becomes one."""
    if isinstance(value, (str, bytes)) or value is None:
        return repr(value)
    if array.dtype.kind in "US":
        return "strings\n  repair: convert them to numbers first, with np.asarray(values, dtype=float)"
    if array.dtype.kind in "mM":
        return f"{array.dtype}\n  repair: divide by a unit, as in values / np.timedelta64(1, 's')"
    first = next((type(v).__name__ for v in array.flat), "nothing")
    return (
        f"Python objects of type {first if array.ndim else type(value).__name__}\n"
        "  repair: convert them to an array of numbers, with np.stack(arrays) or .astype(float)"
    )


def refuse_masked(value: Any, what: str) -> None:
    """Raise a TypeError for a masked array, or a list that holds one: its mask would be lost."""
    if isinstance(value, (list, tuple)):
        for entry in value:
            if isinstance(entry, (list, tuple, np.ma.MaskedArray)):
                refuse_masked(entry, what)
    elif isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{what}: masked arrays are not supported: the mask would be lost\n"
            "  repair: pass value.filled(number), and the mask as a separate array where it is needed"
        )


def _convert_dtype(
    array: np.ndarray, target: np.dtype, what: str, allow_downcast: bool | None, typed: bool
) -> np.ndarray:
    source = array.dtype
    if source.kind == "c" and target.kind != "c":
        text = f"{what}: expected real numbers of dtype {target.name}, got complex numbers"
        raise DTypeError(f"{text}\n  repair: pass their real part, x.real, or declare the variable as {source.name}")
    with np.errstate(invalid="ignore", over="ignore"):
        converted = array.astype(target)
        if allow_downcast or np.can_cast(source, target, "safe") or (allow_downcast is None and target.kind in "fc"):
            return converted
        exact = np.array_equal(converted.astype(source), array, equal_nan=source.kind in "fc")
        if source.kind in "iu" and target.kind in "iu":  # 2**63 and -2**63 are the same bits
            exact = exact and np.array_equal(converted < 0, array < 0)
    if exact and (not typed or (allow_downcast is None and target.kind in "iub" and source.kind in "iub")):
        return converted
    if source.kind in "iub" and target.kind in "iub" and not exact:
        repair = "\n  repair: write what is to be true, as in x != 0" if target.kind == "b" else ""
        raise DTypeError(f"{what}: values of dtype {source.name} do not fit {target.name}{repair}")
    lossless = " (allow_downcast=False)" if allow_downcast is False else ""
    raise DTypeError(
        f"{what}: expected dtype {target.name}, got {source.name}, and converting would lose information{lossless}\n"
        f"  repair: convert it yourself, with .astype({target.name!r})"
    )


class Apply:
    """An op applied to inputs, with its output variables: one per given type (or variable of that type)."""

    __slots__ = ("axes", "inputs", "op", "outputs", "unchanged_by")

    def __init__(
        self,
        op: Any,
        inputs: Sequence[Variable],
        outputs: Sequence[TensorType | Variable],
        location: SourceLocation | None = None,
    ) -> None:
        self.op: Any = op  # an ``Op``; the module of ops stands above this one
        self.axes: tuple[int | None, ...] | None = None  # see ``symc.compiler.fusion.groups.axes_of``
        self.unchanged_by: Any = None  # the rewriting rules that are known to leave this application as it is
        self.inputs = tuple(inputs)
        self.outputs: tuple[Variable, ...] = tuple(
            [Variable(v.type if isinstance(v, Variable) else v, self, k, None, location) for k, v in enumerate(outputs)]
        )
        for output, given in zip(self.outputs, outputs):
            if isinstance(given, Variable) and given.kept:
                take_place(output, given)

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Give the outputs of a copy their additional attributes, or variables of other classes in their places."""
        for output, given in zip(self.outputs, state):
            if isinstance(given, Variable):
                take_place(output, given)
            else:
                output.__dict__.update(given)

    @property
    def out(self) -> Variable:
        """The first output: the only one of most ops."""
        return self.outputs[0]

    @property
    def nin(self) -> int:
        """The number of inputs."""
        return len(self.inputs)

    @property
    def nout(self) -> int:
        """The number of outputs."""
        return len(self.outputs)

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(map(repr, self.inputs))})"


def take_place(output: Variable, given: Variable) -> Variable:
    """Make ``given``, a variable without an owner, the output of an application that ``output`` was."""
    owner = output.owner
    assert owner is not None
    given.owner, given.index, given.type = owner, output.index, output.type
    owner.outputs = tuple(given if v is output else v for v in owner.outputs)
    return given
