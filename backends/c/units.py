"""A program's text in units: large ones are compiled side by side, by as many compilers as there are processors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["UNIT", "in_units", "units_of"]

UNIT = "\n/* ==== next unit ==== */\n"
"""Stands between the units of a text. What is before the first one belongs to each of them."""
LARGE = 100_000
"""Characters of kernels in one unit: some seconds of the C compiler, which takes a quarter over the headers alone."""


def in_units(head: Sequence[str], kernels: Mapping[str, str], entry: Sequence[str], many_steps: bool) -> str:
    """One text. Small programs are one unit; in others the kernels stand in units of their own, the entry in the last.

    ``many_steps``: the entry is long.
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
    """The complete text of every unit; the entry is the last."""
    head, *units = text.split(UNIT)
    return [f"{head}\n{unit}" for unit in units] or [text]
