"""``theano.configparser``: settings that a program declares for itself."""

from __future__ import annotations

from typing import Any

from symc.compat import flags
from symc.config import legacy_flags

__all__ = [
    "AddConfigVar", "BoolParam", "ConfigParam", "EnumStr", "FloatParam", "IntParam", "StrParam", "TheanoConfigParser",
    "TypedParam",
]  # fmt: skip

TheanoConfigParser = flags.TheanoConfig


class ConfigParam:
    """A setting with its default; ``filter`` converts and checks a value."""

    def __init__(self, default: Any, filter: Any = None, allow_override: bool = True) -> None:
        self.default, self.filter, self.allow_override = default, filter, allow_override

    def converted(self, value: Any) -> Any:
        """The value as the setting stores it.

        Raises
        ------
        ValueError
            If it is not allowed.
        """
        return value if self.filter is None else self.filter(value)


class TypedParam(ConfigParam):
    """A setting whose values ``mytype`` converts, and ``is_valid`` accepts."""

    def __init__(self, default: Any, mytype: Any, is_valid: Any = None, allow_override: bool = True) -> None:
        def convert(value: Any) -> Any:
            found = mytype(value)
            if is_valid is not None and not is_valid(found):
                raise ValueError(f"invalid value {value!r} of a setting")
            return found

        super().__init__(default, convert, allow_override)


def IntParam(default: Any, is_valid: Any = None, allow_override: bool = True) -> TypedParam:  # noqa: N802
    """A setting that is an integer."""
    return TypedParam(default, int, is_valid, allow_override)


def FloatParam(default: Any, is_valid: Any = None, allow_override: bool = True) -> TypedParam:  # noqa: N802
    """A setting that is a float."""
    return TypedParam(default, float, is_valid, allow_override)


def StrParam(default: Any, is_valid: Any = None, allow_override: bool = True) -> TypedParam:  # noqa: N802
    """A setting that is a text."""
    return TypedParam(default, str, is_valid, allow_override)


def BoolParam(default: Any, is_valid: Any = None, allow_override: bool = True) -> TypedParam:  # noqa: N802
    """A setting that is true or false."""
    return TypedParam(default, _truth, is_valid, allow_override)


class EnumStr(ConfigParam):
    """A setting that is one of several texts, the first of which is the default."""

    def __init__(self, default: str, *options: str, **named: Any) -> None:
        self.all = (default, *options)

        def check(value: Any) -> Any:
            if value not in self.all:
                raise ValueError(
                    f"invalid value {value!r} of a setting; expected one of {', '.join(map(str, self.all))}"
                )
            return value

        super().__init__(default, check, named.get("allow_override", True))


def AddConfigVar(  # noqa: N802 - Theano's name
    name: str, doc: str, configparam: ConfigParam, root: Any = None, in_c_key: bool = True
) -> None:
    """Declare a setting ``theano.config.<name>``; its value is the default, or what THEANO_FLAGS or .theanorc say.

    Raises
    ------
    AttributeError
        If there is a setting with that name.
    """
    given = legacy_flags().get(name)
    default = configparam.default() if callable(configparam.default) else configparam.default
    flags.declare(name, configparam.converted(default if given is None else given))


def _truth(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("false", "0", "no"):
        return False
    if value in (True, False, 1, 0) or str(value).lower() in ("true", "1", "yes"):
        return bool(value)
    raise ValueError(f"invalid value {value!r} of a setting that is true or false")
