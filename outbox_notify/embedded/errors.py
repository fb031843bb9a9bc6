"""What goes wrong with embedded servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedServerError(OutboxError):
    """An embedded server did not start, or ended by itself; the text holds the end of its log."""

    exit_code = 69


def log_tail(log: Path, lines: int = 5) -> str:
    """Return the last lines of a log file on one line, as errors are reported."""
    text = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
    return " | ".join(line.strip() for line in text.splitlines()[-lines:]) or "its log is empty"
