"""Variables whose values persist between calls, and the real variables that stand for those of other dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symc.errors import here
from symc.graph.bfloat16 import bits_of, shown
from symc.graph.cells import Cell
from symc.graph.dtypes import BRAIN, is_complex, part_of
from symc.graph.types import TensorType
from symc.graph.variables import Variable, as_array, as_complex, as_pairs, convert_value, owned_array

if TYPE_CHECKING:
    from symc.runtime.storage import Storage

__all__ = ["Held", "SharedVariable", "twin"]


class Held(Cell):
    """The value of a shared variable: ``data`` is the array itself, ``value`` a copy; both may be set.

    ``storage[0]`` is ``data``.
    """

    def __init__(self, variable: SharedVariable) -> None:
        self._variable = variable

    @property
    def data(self) -> Any:
        """The array itself."""
        return self._variable.get_value(borrow=True)

    @data.setter
    def data(self, value: Any) -> None:
        self._variable.set_value(value, borrow=True)

    @property
    def value(self) -> Any:
        """A copy of the array."""
        return self._variable.get_value()

    @value.setter
    def value(self, value: Any) -> None:
        self._variable.set_value(value)


class SharedVariable(Variable):
    """A variable whose value persists between calls and that functions may update.

    The shape in its type is symbolic unless fixed by ``shape``; compiled functions are specialised for the value's
    shape and adapt when ``set_value`` changes it.
    """

    def __init__(
        self,
        type: TensorType,
        storage: Storage,
        name: str | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
    ) -> None:
        super().__init__(type, None, 0, name, here())
        self.storage = storage
        self.strict = strict
        self.allow_downcast = allow_downcast

    @property
    def container(self) -> Held:
        """The value as ``data`` or ``value``, which may be set, under Theano's name for it."""
        return Held(self)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the current value: a copy, or with ``borrow=True`` the array itself, which later calls overwrite.

        Do not pass a borrowed array to a function that updates this variable: it would change while it is read. With
        ``return_internal_type=True`` as well, a value on a device is not copied to the host: the result is the device's
        own array.
        """
        found = self.storage.read(borrow, in_place=return_internal_type)
        if isinstance(found, np.ndarray):
            return as_complex(found) if is_complex(self.dtype) else shown(found) if self.dtype == BRAIN else found
        return found

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value.

        Parameters
        ----------
        new_value : array_like
            Must have as many axes as the variable and agree with every fixed dim of its type.
        borrow : bool
            Store ``new_value`` itself instead of a copy where possible.

        Raises
        ------
        TypeError, ValueError
            For a dtype that would lose information, or a wrong number of axes or fixed dim; the old value is kept.
            What counts as a loss follows ``strict`` and ``allow_downcast`` of ``symc.shared``.
        """
        what = f"set_value of {self.name or 'a shared variable'}"
        array = convert_value(new_value, self.type, what, self.strict, self.allow_downcast)
        given = as_array(new_value, what)
        if not borrow and np.shares_memory(array, given):
            array = array.copy()
        owned = owned_array(array)
        if is_complex(self.dtype):
            owned = as_pairs(owned)
        elif self.dtype == BRAIN:
            owned = owned_array(bits_of(owned))
        self.storage.write(owned, borrowed=borrow and np.may_share_memory(owned, given))

    def __dlpack_device__(self) -> tuple[int, int]:
        """The device that has the value: DLPack's type of device, and its number."""
        return self.storage.read(borrow=True, in_place=True).__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        """A capsule with the value itself, not a copy, for ``from_dlpack`` of other libraries.

        As with ``get_value(borrow=True)``, updates overwrite the memory, or move the value to other memory.
        """
        return self.get_value(borrow=True, return_internal_type=True).__dlpack__(**options)

    def zero(self, borrow: bool = False) -> None:
        """Set every element to zero."""
        self.storage.clear("uint16" if self.dtype == BRAIN else part_of(self.dtype))

    def clone(self) -> SharedVariable:
        """Create a variable with the same storage and its own ``default_update``."""
        twin = SharedVariable(self.type, self.storage, self.name, self.strict, self.allow_downcast)
        twin.location = self.location
        return twin


def twin(v: Variable) -> Variable:
    """The real variable in whose place one of a dtype of the language alone stands, if that has no owner.

    For complex numbers, it has their parts along a new last axis; for bfloat16, it is of float32.
    """
    found = v.__dict__.get("_twin")
    if found is None:
        shape = (*v.type.shape, 2) if is_complex(v.dtype) else v.type.shape
        type = TensorType(part_of(v.dtype) if is_complex(v.dtype) else "float32", shape)
        if isinstance(v, SharedVariable):
            found = SharedVariable(type, v.storage, v.name, v.strict, v.allow_downcast)
        else:
            found = Variable(type, None, 0, v.name, v.location)
        found.__dict__["_whole"] = v
        v.__dict__["_twin"] = found
    return found  # type: ignore[no-any-return]
