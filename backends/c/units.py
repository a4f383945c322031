"""Translation units of a program: large programs are compiled in parallel, with one compiler per processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["UNIT", "in_units", "units_of"]

UNIT = "\n/* ==== next unit ==== */\n"
"""The separator of the units of a text. The text before the first unit belongs to each of them."""
LARGE = 100_000
"""The number of characters of kernels per unit: a few seconds of the C compiler, a quarter of which is for the
headers."""


def in_units(head: Sequence[str], kernels: Mapping[str, str], entry: Sequence[str], many_steps: bool) -> str:
    """Join the parts of a program to one text. A small program is one unit; otherwise kernels are in separate units.


    The entry is in the last unit. ``many_steps``: the entry is long.
    """
    if sum(map(len, kernels.values())) <= LARGE and not many_steps:
        return "\n".join([*head, "#define KERNEL static", *kernels.values(), *entry])
    units: list[list[str]] = [[]]
    size = 0
    for text in kernels.values():
        if size > LARGE:
            units.append([])
            size = 0
        units[-1].append(text)
        size += len(text)
    declared = [f"KERNEL void {name}(void **, const int64_t *);" for name in kernels]
    start = "\n".join([*head, '#define KERNEL __attribute__((visibility("hidden")))'])
    return UNIT.join([start, *("\n".join(lines) for lines in units), "\n".join([*declared, *entry])])


def units_of(text: str) -> list[str]:
    """Split a text into the complete text of every unit; the entry is in the last one."""
    head, *units = text.split(UNIT)
    return [f"{head}\n{unit}" for unit in units] or [text]
