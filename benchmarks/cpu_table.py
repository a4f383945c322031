"""All rows of ``cpu.py`` by name."""

from __future__ import annotations

import cpu_arrays
import cpu_networks
import cpu_programs

__all__ = ["ROWS"]

ROWS = {row.name: row for module in (cpu_arrays, cpu_programs, cpu_networks) for row in module.ROWS}
