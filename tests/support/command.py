"""The command as its users run it: a process with an environment of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

Starter: TypeAlias = "Callable[..., CommandProcess]"

COMMAND = [sys.executable, "-m", "outbox_notify"]
# A shell shows 130 for both. `python -m` dies of the signal, whatever its code returned, when Ctrl-C met it in
# an exec or eval of a string, such as the making of a dataclass while something is imported.
ENDED_BY_CTRL_C = {130, -signal.SIGINT}
# For a relay that is to take over, and to try again, while a test waits.
QUICK = {"OUTBOX_LEASE": "3s", "OUTBOX_PUBLISH_TIMEOUT": "1500ms", "OUTBOX_SWEEP_INTERVAL": "500ms"}
_OURS = re.compile(r"OUTBOX_|PG|NOTIFY_SOCKET|WATCHDOG_|CREDENTIALS_DIRECTORY|PYTHONDONTWRITEBYTECODE")


def environment(**settings: str) -> dict[str, str]:
    """Return the caller's environment, without what would change what the command does, plus settings.

    Python keeps what it compiles, whatever the caller says: the command starts hundreds of times.
    Without HTTP, unless a test asks for it: relays would fight for the one port of the default.
    """
    inherited = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    return {**inherited, "PYTHONUNBUFFERED": "1", "OUTBOX_HTTP": "off", **settings}


def run(*arguments: str, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; settings are variables of the environment."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class CommandProcess:
    """The command running in the background, its output in a file.

    Args:
        arguments: verb and flags.
        output: file for stdout and stderr together.
        settings: variables of the environment.
        command: what to run instead of the command.
    """

    def __init__(
        self,
        *arguments: str,
        output: Path,
        settings: Mapping[str, str],
        command: Sequence[str] = tuple(COMMAND),
    ) -> None:
        self.output = output
        with output.open("wb") as sink:
            self._popen = subprocess.Popen(
                [*command, *arguments],
                env=environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Process id of the command."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the command has not ended."""
        return self._popen.poll() is None

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def records(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one kind that it has written so far, such as `lease.expired`."""
        lines = (line for line in self.text.splitlines() if line.startswith("{") and line.endswith("}"))
        return [record for record in map(json.loads, lines) if record.get("event") == event]

    def wait_for_record(self, event: str, timeout: float = 30) -> dict[str, Any]:
        """Return the first log line of one kind, once there is one."""
        self.wait_for(f'"event": "{re.escape(event)}".*}}$', timeout)
        return self.records(event)[0]

    def wait_for(self, pattern: str, timeout: float = 30) -> re.Match[str]:
        """Return the match once the output holds the pattern; fail when the command ends or is too slow."""
        deadline = time.monotonic() + timeout
        while True:
            ended = not self.running
            if found := re.search(pattern, self.text, re.MULTILINE):
                return found
            assert not ended, f"ended with {self._popen.returncode} before it wrote {pattern!r}:\n{self.text}"
            assert time.monotonic() < deadline, f"did not write {pattern!r} within {timeout} s:\n{self.text}"
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self._popen.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Return the exit code once the command has ended."""
        return self._popen.wait(timeout)

    def stop(self, timeout: float = 40) -> int:
        """Drain with SIGTERM and return the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._popen.kill()
        self._popen.wait()

    def freeze(self) -> None:
        """Hold it where it is; its connections stay open."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)
