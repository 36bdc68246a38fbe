"""The number of processor cores."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """The number of processor cores that this process may use, also in a container with a quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def _quota() -> int:
    """The cores that the container may use on average, rounded up."""
    try:
        allowed, period = QUOTA.read_text().split()
        return -(-int(allowed) // int(period))
    except (OSError, ValueError):  # not Linux, or "max"
        return 1 << 30
