"""The base of Theano's ops as classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symc.compat.tensor import Call

__all__ = ["OpClass"]


class OpClass(Call):
    """An op of Theano: ``takes`` names the parameters that make it, with their defaults, in order."""

    takes: dict[str, Any] = {}

    def __init__(self, *parameters: Any, **named: Any) -> None:
        super().__init__(*parameters, **named)
        given = dict(zip(self.takes, parameters))
        unknown = sorted(set(named) - set(self.takes) | set(named) & set(given))
        if unknown or len(parameters) > len(self.takes):
            what = f"{unknown[0]!r}" if unknown else f"{len(parameters)} arguments"
            raise TypeError(f"{type(self).__name__}: unexpected {what}; it takes {', '.join(self.takes) or 'nothing'}")
        vars(self).update({**self.takes, **given, **named})

    def _key(self) -> tuple[Any, ...]:
        return (type(self), *(getattr(self, name) for name in self.takes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpClass) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(tuple(tuple(k) if isinstance(k, list) else k for k in self._key()))

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.takes)
        return type(self).__name__ + (f"{{{shown}}}" if shown else "")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @property
    def __props__(self) -> tuple[str, ...]:
        return tuple(self.takes)
