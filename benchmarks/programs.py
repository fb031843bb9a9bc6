"""What runs beside the benchmark as a process of its own: the relay, and the loops that it is compared with."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import outbox_notify
from benchmarks.errors import BenchmarkError
from benchmarks.proc import cpu_seconds, peak_memory
from outbox_notify.embedded import ServerProcess, log_tail

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from types import TracebackType

RELAY = ("-m", "outbox_notify", "relay")
DRAIN = (*RELAY, "--drain")
BARE = ("-m", "benchmarks.bare")
BARE_LISTEN = ("-m", "benchmarks.bare_listen")
# What a relay logs when it can be woken.
ASLEEP = "wake.ready"

_ROOTS = {str(Path(module).parents[1]) for module in (str(outbox_notify.__file__), __file__)}
_INTERVAL = 0.02
_START_TIMEOUT = 30.0


class Program:
    """One of our Python programs, from its start to its end; as a context manager it does not outlast it.

    Args:
        arguments: for Python.
        folder: for its log.
        environment: its settings.
        ready: the text that it logs when it begins to work.
    """

    def __init__(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], ready: str
    ) -> None:
        self._name = arguments[1]
        self._ready = ready
        self.log = folder / f"{self._name}.{time.monotonic_ns()}.log"
        self._process = ServerProcess(
            [sys.executable, *arguments],
            log=self.log,
            cwd=folder,
            environment={**environment, "PYTHONPATH": ":".join(sorted(_ROOTS))},
        )
        self.peak_memory = 0
        self.cpu_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        if kind is None:
            self.log.unlink()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it begins to work."""
        deadline = time.monotonic() + _START_TIMEOUT
        while self._ready not in self.log.read_text(encoding="utf-8", errors="replace"):
            self.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self._name} did not get ready: {log_tail(self.log)}")
            time.sleep(_INTERVAL / 4)

    def wait_until_done(self, timeout: float) -> None:
        """Return when it has ended by itself and well, with what it used noted.

        Raises:
            BenchmarkError: it failed, or took longer.
        """
        deadline = time.monotonic() + timeout
        while self._process.running:
            self.note()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self._name} did not end within {timeout:g} s: {log_tail(self.log)}")
            time.sleep(_INTERVAL)
        if self._process.ending != "exit code 0":
            raise BenchmarkError(f"{self._name} ended with {self._process.ending}: {log_tail(self.log)}")

    def stop(self, how: signal.Signals, timeout: float = 40) -> None:
        """Ask it to end and wait until it has."""
        self.note()
        self._process.stop(how, timeout=timeout)

    def check(self) -> None:
        """Raise BenchmarkError when it has ended."""
        if not self._process.running:
            raise BenchmarkError(f"{self._name} has ended ({self._process.ending}): {log_tail(self.log)}")

    def note(self) -> None:
        """Note what it has used so far."""
        self.peak_memory = max(self.peak_memory, peak_memory(self.pid))
        self.cpu_seconds = max(self.cpu_seconds, cpu_seconds(self.pid))
