"""What the embedded servers have in common: a folder, a process in it, and the ways to end and to hold it."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from outbox_notify.embedded.errors import EmbeddedServerError
from outbox_notify.embedded.folder import Folder

if TYPE_CHECKING:
    import signal
    from pathlib import Path
    from types import TracebackType

    from outbox_notify.embedded.account import Account
    from outbox_notify.embedded.process import ServerProcess


class EmbeddedServer(ABC):
    """A server on 127.0.0.1 with throw-away data; as a context manager it starts, and leaves nothing behind.

    Stopped or killed, it starts again on the same port with the same data, until `close`.

    Args:
        name: part of the folder's name.
        account: whom the server runs as, None for the current user.
    """

    #: Seconds that a start and an orderly stop may take.
    start_timeout: ClassVar[float] = 30
    stop_timeout: ClassVar[float] = 10
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, name: str, account: Account | None) -> None:
        self._account = account
        self._name = name
        self._folder: Folder | None = None
        self._process: ServerProcess | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The private folder with data and log."""
        if self._folder is None:
            self._folder = Folder(self._name, self._account)
        return self._folder.path

    @property
    def log_path(self) -> Path:
        """The server's log file."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the server has been started and has not ended."""
        return self._process is not None and self._process.running

    @abstractmethod
    def start(self) -> None:
        """Start the server and return when it answers; nothing happens when it runs already.

        Raises:
            EmbeddedServerError: it did not become ready; the text holds the end of its log.
        """

    def stop(self) -> None:
        """End the server in an orderly way, within `stop_timeout`, and keep its data."""
        if self._process is not None:
            self._process.stop(self.stop_signal, timeout=self.stop_timeout)
            self._process = None

    def kill(self) -> None:
        """End the server at once, as a crash would, and keep its data."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def freeze(self) -> None:
        """Hold the server: connections stay open, nothing answers."""
        self._running().freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._running().thaw()

    def close(self) -> None:
        """End the server and remove its data."""
        self.stop()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise EmbeddedServerError(f"the embedded {self._name} server is not running")
        return self._process


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on; somebody may take it before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
