"""Options of public functions: integers and choices.

An error names the function, the option, what was given, what is accepted, and the user's line.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from symc.errors import located

__all__ = ["choice", "integer"]


def choice(what: str, option: str, given: Any, accepted: Sequence[Any], operands: Any = ()) -> None:
    """Require an option to be one of the values that a function accepts.

    Raises
    ------
    ValueError
        It names the accepted values, and the one that a misspelled text resembles.
    """
    plain = isinstance(given, (str, int, np.integer)) and not isinstance(given, bool)
    if any(given is value or (plain and given == value) for value in accepted):
        return
    names = [repr(value) for value in accepted]
    near = (
        get_close_matches(given, [value for value in accepted if isinstance(value, str)], 1)
        if isinstance(given, str)
        else []
    )
    text = f"{what}: {option} must be {' or '.join([', '.join(names[:-1]), names[-1]])}, got {given!r}"
    raise ValueError(located(text, operands, f"did you mean {near[0]!r}?" if near else None))


def integer(what: str, option: str, given: Any, operands: Any = (), least: int | None = None) -> int:
    """Convert an option to an integer, of at least ``least``.

    Raises
    ------
    TypeError
        For a value that is not an integer.
    ValueError
        For an integer below ``least``.
    """
    try:
        found = operator.index(given[()] if isinstance(given, np.ndarray) else given)
    except TypeError:
        text = f"{what}: {option} must be an integer, got {given!r}"
        raise TypeError(located(text, operands)) from None
    if least is not None and found < least:
        word = "negative" if least == 0 else f"below {least}"
        raise ValueError(located(f"{what}: {option} cannot be {word}, got {found}", operands))
    return found
