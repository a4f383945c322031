"""Keyword arguments under the names that Theano and NumPy give them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["also_named"]

F = TypeVar("F", bound=Callable[..., Any])


def also_named(**names: str) -> Callable[[F], F]:
    """A decorator: ``also_named(input="x")`` lets callers write ``input=`` for the argument ``x``."""

    def decorator(function: F) -> F:
        @wraps(function)
        def renamed(*args: Any, **options: Any) -> Any:
            if options:
                for old, new in names.items():
                    if old in options and new not in options:
                        options[new] = options.pop(old)
            return function(*args, **options)

        return cast(F, renamed)

    return decorator
