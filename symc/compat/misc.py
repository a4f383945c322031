"""``theano.misc.frozendict`` and ``theano.misc.cpucount``: names that only old programs use."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, ClassVar

__all__ = ["FrozenOrderedDict", "cpuCount", "frozendict"]


class frozendict(Mapping[Hashable, Any]):  # noqa: N801 - Theano's name
    """A mapping that does not change and has a hash, if its values have one."""

    dict_cls: ClassVar[type[dict[Any, Any]]] = dict

    def __init__(self, *args: Any, **entries: Any) -> None:
        self._entries = self.dict_cls(*args, **entries)

    def __getitem__(self, key: Hashable) -> Any:
        return self._entries[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __hash__(self) -> int:
        return hash(frozenset(self._entries.items()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._entries!r}>"

    def copy(self, **changed: Any) -> frozendict:
        """A copy with some entries added or replaced."""
        return type(self)(self, **changed)


class FrozenOrderedDict(frozendict):
    """The same with an ordered dict inside."""

    dict_cls = OrderedDict


def cpuCount() -> int:  # noqa: N802 - Theano's name
    """The number of processors of this machine, or -1 if it is not known."""
    return os.cpu_count() or -1
