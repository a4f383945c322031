"""What was loaded from a file and what was not; the errors of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelFileError

__all__ = ["LoadReport", "ModelFileError", "WeightsMismatchError"]


@dataclass
class LoadReport:
    """The result of comparing a weight file with a network.

    Attributes
    ----------
    loaded : list of str
        The parameters that were set; empty if loading was refused.
    missing : list of str
        The parameters of the network that are not in the file.
    extra : list of str
        The arrays in the file that do not match a parameter of the network.
    misshaped : list of (str, tuple, tuple)
        Name, shape in the network, shape in the file.
    mistyped : list of (str, str, str)
        Name, dtype in the network, dtype in the file, for values that cannot be converted (complex numbers or text,
        floats for integers).
    classes : list of str
        The names of the classes, if the file contains them, as the Lasagne recipes do.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    misshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    mistyped: list[tuple[str, str, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)

    @property
    def matches(self) -> bool:
        """Whether file and network match completely."""
        return not (self.missing or self.extra or self.misshaped or self.mistyped)

    def __str__(self) -> str:
        lines = []
        if self.missing:
            lines.append(f"missing from the file ({len(self.missing)}): {', '.join(self.missing)}")
        if self.extra:
            lines.append(f"extra in the file ({len(self.extra)}): {', '.join(self.extra)}")
        if self.misshaped:
            lines.append(f"shape differs ({len(self.misshaped)}): {_cases(self.misshaped)}")
        if self.mistyped:
            lines.append(f"incompatible dtype ({len(self.mistyped)}): {_cases(self.mistyped)}")
        return "\n".join(lines) or f"all {len(self.loaded)} parameters loaded"


def _cases(entries: Sequence[tuple[str, Any, Any]]) -> str:
    return "; ".join(f"{name} is {here} in the network, {there} in the file" for name, here, there in entries)


class WeightsMismatchError(ValueError):
    """A weight file does not match the network; ``report`` is the :class:`LoadReport`."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report
