"""A PostgreSQL primary and a streaming standby that can take its place."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from outbox_notify.embedded import EmbeddedPostgres
from outbox_notify.embedded.process import clean_environment
from tests.support.postgres import SETTINGS, migrate
from tests.support.processes import wait_for
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from types import TracebackType

_TIMEOUT = 30.0


class Standby(EmbeddedPostgres):
    """A copy of another server that follows it, until promoted.

    Args:
        primary: the server to copy, running.
        port: where the primary is reached for streaming.
    """

    def __init__(self, primary: EmbeddedPostgres, port: int) -> None:
        super().__init__(primary.version, primary._settings)
        self._password = primary._password
        self._source = primary.url.replace(f":{primary.port}/", f":{port}/")

    def promote(self) -> None:
        """Make it a primary; returns when it takes writes."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("SELECT pg_promote(true, 60)")

    def _initdb(self) -> None:
        """Copy the primary, as it streams, instead of making an empty server."""
        command = [
            self._program("pg_basebackup"), "--pgdata", str(self.data_dir), "--write-recovery-conf",
            "--checkpoint", "fast", "--no-sync", "--dbname", self._source,
        ]  # fmt: skip
        extra = self._account.popen_arguments() if self._account else {}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            **extra,
        )
        assert done.returncode == 0, done.stderr

    def _ready(self) -> bool:
        """Return whether it can be asked; a standby never says `ready`."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.pid)] and lines[7:8] in (["ready   "], ["standby "])


class PostgresPair:
    """Primary and standby; as a context manager they start, stream, and leave nothing behind.

    Args:
        synchronous: whether a commit waits for the standby.
    """

    def __init__(self, *, synchronous: bool) -> None:
        self.primary = EmbeddedPostgres(18, SETTINGS)
        self._synchronous = synchronous
        self._started = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.primary)
            migrate(self.primary.url)
            _keep_documents(self.primary.url)
            self.stream = starting.enter_context(Proxy(self.primary.port))
            self.standby = Standby(self.primary, self.stream.port)
            starting.enter_context(self.standby)
            wait_for(self._streams, _TIMEOUT, "the standby to stream")
            if self._synchronous:
                configure(self.primary, synchronous_standby_names="*")
                wait_for(lambda: self._streams("sync"), _TIMEOUT, "the standby to be synchronous")
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    @property
    def url(self) -> str:
        """URL of both; it leads to the one that takes writes."""
        account, _, _ = urlsplit(self.primary.url).netloc.rpartition("@")
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://{account}@{hosts}/postgres?target_session_attrs=read-write&connect_timeout=2"

    def fall_behind(self) -> None:
        """Let nothing reach the standby any more, as a slow network would."""
        self.stream.deaf()

    def catch_up(self) -> None:
        """Let the standby stream again."""
        self.stream.restore()

    def lose_primary(self, fate: str) -> None:
        """Let nobody write to the primary any more.

        Args:
            fate: `kill`, `stop`, or `demote`: it lives on and keeps the connections that it has.
        """
        if fate == "demote":
            configure(self.primary, default_transaction_read_only="on")
        else:
            getattr(self.primary, fate)()

    def _streams(self, state: str = "") -> bool:
        with psycopg.connect(self.primary.url, autocommit=True) as conn:
            found = conn.execute(
                "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
            ).fetchone()
        return found is not None and found[0].startswith(state)


def _keep_documents(url: str) -> None:
    """Let every transaction that writes an event write a business row too."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE document (event_id uuid PRIMARY KEY)")
        conn.execute(
            "CREATE FUNCTION keep_document() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO document VALUES (NEW.event_id); RETURN NEW; END $$"
        )
        conn.execute(
            "CREATE TRIGGER keep_document AFTER INSERT ON event_outbox"
            " FOR EACH ROW EXECUTE FUNCTION keep_document()"
        )


def configure(server: EmbeddedPostgres, **settings: str) -> None:
    """Change settings of a running server."""
    with psycopg.connect(server.url, autocommit=True) as conn:
        for name, value in settings.items():
            conn.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        conn.execute("SELECT pg_reload_conf()")
