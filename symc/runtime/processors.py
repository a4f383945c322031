"""How many processors this process may use: its affinity, and the quota of its control group (containers)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["usable"]

GROUPS = Path("/sys/fs/cgroup")


def usable() -> int:
    """The number of processors that this process may keep busy, at least 1.

    Of a fractional quota the whole processors count: more threads would use it up early in each period, and then all
    of them would stand still until the next one.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota in _quotas(Path("/proc/self/cgroup"), GROUPS):
        count = min(count, int(quota))
    return max(count, 1)


def _quotas(membership: Path, groups: Path) -> Iterator[float]:
    """The quotas, in processors, of this process's control group and those around it, in versions 1 and 2."""
    try:
        lines = membership.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in [groups] if not controllers else [groups / controllers, groups / "cpu"]:
            place = root / path.lstrip("/")
            for folder in (place, *place.parents):  # inside a container, the path may be that of the host
                found = _quota(folder)
                if found is not None:
                    yield found
                if folder == root:
                    break


def _quota(folder: Path) -> float | None:
    """The quota that a group's files state, or None."""
    try:
        if (folder / "cpu.max").exists():
            most, period = (folder / "cpu.max").read_text().split()[:2]
        else:
            most = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return None if most in ("max", "-1") else int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
