"""Tiers of compilation: code that is compiled quickly runs while the compiler still optimises it.

With ``symc.config.tiered`` a function that was never compiled before is built twice: without optimisation, for its
first calls, and with it, by a thread of its own. Executables take over the optimised code when it is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

__all__ = ["Quick", "optimised", "when_optimised"]


class Quick:
    """Code that was compiled quickly, with the attributes of :class:`symc_backends.c.build.Code`.

    Attributes
    ----------
    code : Code
    better : Future of Code
        The same code, optimised.
    """

    def __init__(self, code: Any, better: Future[Any]) -> None:
        self.code = code
        self.better = better

    def __getattr__(self, name: str) -> Any:
        return getattr(self.code, name)


@lru_cache(maxsize=1)
def _compiler() -> ThreadPoolExecutor:
    """One thread: compilations wait for each other, and the end of the process for all of them."""
    return ThreadPoolExecutor(1, "symc-optimise")


def optimised(build: Callable[[], Any]) -> Future[Any]:
    """Start to build optimised code."""
    return _compiler().submit(build)


def when_optimised(code: Any, take: Callable[[Any], None]) -> None:
    """Call the method ``take`` with the optimised form of ``code``, in any thread, when it is there.

    Nothing happens for code that is optimised already, if the compiler fails, or if the method's object is gone.
    """
    better: Future[Any] | None = getattr(code, "better", None)
    if better is None:
        return
    method = weakref.WeakMethod(take)

    def done(future: Future[Any]) -> None:
        bound = method()
        if bound is not None and future.exception() is None:
            bound(future.result())

    better.add_done_callback(done)
