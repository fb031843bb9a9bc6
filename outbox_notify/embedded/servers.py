"""Both servers together, and how other terminals learn where they are."""

from __future__ import annotations

import shlex
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from outbox_notify.embedded.errors import EmbeddedServerError, log_tail
from outbox_notify.embedded.nats import EmbeddedNats
from outbox_notify.embedded.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType


class EmbeddedServers:
    """A PostgreSQL 18 and a nats-server; as a context manager they start, and leave nothing behind."""

    def __init__(self) -> None:
        self.postgres = EmbeddedPostgres()
        self.nats = EmbeddedNats()
        self._started = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.postgres)
            starting.enter_context(self.nats)
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    def settings(self) -> dict[str, str]:
        """Return the variables that lead the command to these servers."""
        return {"OUTBOX_DATABASE_URL": self.postgres.url, "OUTBOX_NATS_URL": self.nats.url}

    def check(self) -> None:
        """Raise EmbeddedServerError when one of them has ended by itself."""
        for server, name in ((self.postgres, "PostgreSQL"), (self.nats, "NATS")):
            if not server.running:
                raise EmbeddedServerError(f"the embedded {name} has ended: {log_tail(server.log_path)}")


def exports(settings: Mapping[str, str]) -> str:
    """Return lines that a shell can read: `export NAME=value`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())


@contextmanager
def announced(settings: Mapping[str, str], path: Path | None) -> Iterator[None]:
    """Keep the settings in a file that only we can read, as long as the context lasts; None is no file."""
    if path is None:
        yield
        return
    text = exports(settings)
    # A new file each time: an old one could be open to others.
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            path.unlink()
