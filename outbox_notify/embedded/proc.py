"""What /proc says about processes, and signals to those that may be gone already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal


def children_of(parent: int) -> list[int]:
    """Return the process ids whose parent is `parent`; PostgreSQL gives every child its own process group."""
    everybody = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in everybody if _stat(pid)[1:2] == [str(parent)]]


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is more than an exit status that nobody has collected."""
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _stat(pid: int) -> list[str]:
    """Return state, parent and so on; the name before them may hold spaces and brackets."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (FileNotFoundError, ProcessLookupError):
        return []
