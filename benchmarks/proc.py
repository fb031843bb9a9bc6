"""What processes used, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path

from outbox_notify.embedded.proc import children_of

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, those that have ended included."""
    return sum(_ticks(each) for each in (pid, *children_of(pid))) * _TICK


def peak_memory(pid: int) -> int:
    """Return the most memory that a process and its children each had resident, summed up, bytes."""
    return sum(_high_water(each) for each in (pid, *children_of(pid)))


def _ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # user, system, and both of children that were waited for; the name before them may hold spaces.
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
