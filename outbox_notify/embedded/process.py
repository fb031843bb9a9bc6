"""A server process that cannot outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from outbox_notify.embedded.errors import EmbeddedServerError, log_tail
from outbox_notify.embedded.proc import children_of, is_alive, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from outbox_notify.embedded.account import Account

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec only plain system calls are safe.
_libc = ctypes.CDLL(None)


class ServerProcess:
    """A child in a session of its own, its output in a log file.

    The session keeps the terminal's Ctrl-C away from it, so that its users can drain first. The kernel sends
    it `death_signal` when the thread that started it ends, whatever ended it: start it from the main thread.

    Args:
        command: program and arguments.
        log: file that receives the output, appended.
        cwd: directory that the account can enter.
        account: whom to run as; None for the current user.
        environment: added to the little that is kept of ours.
        death_signal: what the kernel sends when the starting process is gone.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "start servers from the main thread: they end with the thread that started them"
            )
        self._name = Path(command[0]).name
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603  # the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**clean_environment(), **(environment or {})},
                start_new_session=True,
                preexec_fn=_ends_with_parent(death_signal),  # noqa: PLW1509  # PR_SET_PDEATHSIG has no other way
                **(account.popen_arguments() if account else {}),
            )

    @property
    def pid(self) -> int:
        """Process id of the server itself, not of its children."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the server has not ended; a frozen one is running."""
        return self._popen.poll() is None

    @property
    def ending(self) -> str:
        """How the server ended, in words; only for one that has."""
        code = self._popen.returncode
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Return when `ready`, asked every few milliseconds, is true.

        Raises:
            EmbeddedServerError: it ended, or was not ready after `timeout` seconds and is killed.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise EmbeddedServerError(
                    f"{self._name} ended while starting ({self.ending}): {log_tail(self._log)}"
                )
            if time.monotonic() > deadline:
                self.kill()
                raise EmbeddedServerError(
                    f"{self._name} not ready after {timeout:g} s: {log_tail(self._log)}"
                )
            time.sleep(0.005)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server alone, for example SIGHUP to read its configuration again."""
        if self.running:
            send(self.pid, number)

    def freeze(self) -> None:
        """Stop the server and its children where they are; connections stay open and nothing answers."""
        # The server first: it can't make children that would escape the second step.
        self.send(signal.SIGSTOP)
        for child in children_of(self.pid):
            send(child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for child in children_of(self.pid):
            send(child, signal.SIGCONT)
        self.send(signal.SIGCONT)

    def stop(self, how: signal.Signals, *, timeout: float) -> None:
        """Thaw the server and ask it to end; kill it when it has not ended after `timeout` seconds."""
        self.thaw()
        self.send(how)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server and its children at once, as a crash would, and wait until they are gone."""
        self.send(signal.SIGSTOP)
        family = [self.pid, *children_of(self.pid)] if self.running else []
        for pid in family:
            send(pid, signal.SIGKILL)
        self._popen.wait()
        # A new server refuses the data directory while an old child still holds its shared memory.
        deadline = time.monotonic() + 10
        while any(is_alive(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(0.002)


def clean_environment() -> dict[str, str]:
    """Return an environment in which no variable of the caller changes what the servers do."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def _ends_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what the child does before exec: ask for the signal, and leave if the parent is gone already."""
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
