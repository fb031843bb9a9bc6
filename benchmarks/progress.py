"""What the caller sees while it runs, on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.status import Status


class Progress:
    """Tells what is being done: in one line that changes on a terminal, in a line for each thing otherwise."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._status: Status | None = None
        self._case = ""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it for the time of the context."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console  # noqa: PLC0415  # nobody else needs it

        with Console(stderr=True).status("starting") as self._status:
            yield
        self._status = None

    def case(self, name: str) -> None:
        """Tell that a case begins."""
        self._case = name

    def say(self, what: str) -> None:
        """Tell what is done from now on."""
        line = f"{time.monotonic() - self._began:6.0f} s  {self._case}: {what}"
        if self._status is not None:
            self._status.update(line)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
