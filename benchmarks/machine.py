"""Where and with what a run was made: figures mean little without it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.stage import Stage

_UNKNOWN = "unknown"
_ROOT = Path(__file__).parents[1]
_QUESTIONS = (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))


def busy(about: Mapping[str, object]) -> bool:
    """Return whether somebody else worked on a machine when the benchmark began."""
    return float(str(about["load"])) > 0.5


def machine(stage: Stage) -> dict[str, str | int | float]:
    """Return the machine, the versions of everything that matters, and the commit."""
    with psycopg.connect(stage.postgres.url) as conn:
        postgres = conn.info.parameter_status("server_version") or "unknown"
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgres": postgres,
        "nats_server": stage.nats.version,
        **{name: version(name) for name in ("outbox-notify", "psycopg", "nats-py")},
        "commit": _commit(),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    """Return the commit of the checkout, with a `+` when something is changed in it."""
    git = shutil.which("git")
    if git is None:
        return _UNKNOWN
    head, changes = (_answer([git, "-C", str(_ROOT), *question]) for question in _QUESTIONS)
    return f"{head}+" if changes not in {"", _UNKNOWN} else head


def _answer(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # the command is ours
    return done.stdout.strip() if done.returncode == 0 else _UNKNOWN
