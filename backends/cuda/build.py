"""Compilation of CUDA C text to loaded kernels, through the cache; parts of long texts are compiled concurrently."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from symc_backends.cuda import compile, device
from symc_backends.cuda.emit import SEPARATOR

__all__ = ["Code", "build"]

PART = 24
"""The number of functions that are compiled together."""


def build(text: str, timed: int = 0) -> Code:
    """Compile the kernels of a text; ``timed`` has no effect, since steps are timed with events."""
    return _code(text, device.current())


@lru_cache(maxsize=256)
def _code(text: str, owner: device.Device) -> Code:
    return Code(text, owner)


class Code:
    """Loaded kernels by name: ``function(name)``, or ``function(name, wide=True)`` for 64-bit positions.

    Kernels with 64-bit positions are compiled when first needed.
    """

    def __init__(self, text: str, owner: device.Device) -> None:
        self.device = owner
        head, *functions = text.split(SEPARATOR)
        self._texts = [head + "".join(functions[k : k + PART]) for k in range(0, len(functions), PART)]
        self._modules: dict[bool, list[Any]] = {}
        self._functions: dict[tuple[str, bool], Any] = {}
        self._load(False)

    def _load(self, wide: bool) -> None:
        texts = [f"#define SYMC_WIDE\n{text}" if wide else text for text in self._texts]
        with ThreadPoolExecutor(max(1, min(len(texts), os.cpu_count() or 1))) as pool:
            images = list(pool.map(lambda text: compile.cubin(text, self.device.arch), texts))
        with self.device:
            self._modules[wide] = [self.device.load(image) for image in images]

    def function(self, name: str, wide: bool = False) -> Any:
        """Look up a kernel by its name."""
        found = self._functions.get((name, wide))
        if found is None:
            if wide not in self._modules:
                self._load(wide)
            module = self._modules[wide][int(name[1:]) // PART]
            with self.device:
                found = self._functions[name, wide] = module.get_function(name)
        return found
