"""The demo's terminal: lines that stay, and a last line that is painted over. A log file gets plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from outbox_notify.demo.database import Backlog
    from outbox_notify.demo.watch import Watch

_CLEAR_LINE = "\r\x1b[K"


class Screen:
    """Writes to a terminal or to something else.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = ""
        self._terminal = out.isatty()
        #: Seconds between two states of the live line.
        self.pause = 1.0 if self._terminal else 3.0

    def say(self, text: str = "") -> None:
        """Write a line that stays."""
        if self._terminal:
            self._write(f"{_CLEAR_LINE}{text}\n{self._live}")
        else:
            self._write(f"{text}\n")

    def show(self, text: str) -> None:
        """Write the live line in place of the last one."""
        self._live = text
        self._write(f"{_CLEAR_LINE}{text}" if self._terminal else f"{text}\n")

    def end(self) -> None:
        """Leave the live line as it is."""
        if self._terminal and self._live:
            self._write("\n")
        self._live = ""

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def live_line(watch: Watch, backlog: Backlog, p50_ms: float | None, p99_ms: float | None) -> str:
    """Return what a newcomer wants to see, in one line of a narrow terminal."""
    return (
        f"published {watch.messages:,}  backlog {backlog.waiting:,}  oldest {backlog.oldest:.1f} s  "
        f"p50 {_milliseconds(p50_ms)}  p99 {_milliseconds(p99_ms)}  failed {backlog.failed:,}"
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
