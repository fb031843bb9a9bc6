"""An embedded PostgreSQL: initdb and postgres driven directly."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, ClassVar

from outbox_notify.embedded.account import unprivileged_account
from outbox_notify.embedded.binaries import postgres_installation, reachable_installation
from outbox_notify.embedded.errors import EmbeddedServerError, log_tail
from outbox_notify.embedded.process import ServerProcess, clean_environment
from outbox_notify.embedded.server import EmbeddedServer, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SUPERUSER = "postgres"
_DEFAULT_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # No socket file: its folder would have to be shared, and its path may be too long.
    "unix_socket_directories": "",
    "max_connections": "200",
}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL with fresh data, on a random port of 127.0.0.1, with a random password.

    Args:
        version: 16 or 18.
        settings: server settings as in postgresql.conf, added to ours.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(self, version: int = 18, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(f"postgres{version}", unprivileged_account())
        self.version = version
        self._settings = {**_DEFAULT_SETTINGS, **(settings or {})}
        self._password = secrets.token_hex(16)
        self._port: int | None = None
        self._programs: Path | None = None

    @property
    def url(self) -> str:
        """Connection URL of the superuser for the database `postgres`."""
        return self.database_url("postgres")

    @property
    def port(self) -> int:
        """The port, which stays the same over restarts."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def psql_path(self) -> Path:
        """The psql that belongs to it."""
        return postgres_installation(self.version) / "bin" / "psql"

    def database_url(self, database: str) -> str:
        """Return the superuser's connection URL for one database of the server."""
        return f"postgresql://{_SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and return when it accepts connections; makes the data directory the first time.

        Raises:
            ConfigError: the wheel with the programs is not installed.
            EmbeddedServerError: it did not become ready; the text holds the end of its log.
        """
        if self.running:
            return
        if not self.data_dir.exists():
            self._initdb()
        self._process = self._launch()
        try:
            self._process.wait_until(self._ready, timeout=self.start_timeout)
        except EmbeddedServerError:
            self._process = None
            raise

    def _launch(self) -> ServerProcess:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [self._program("postgres"), "-D", str(self.data_dir), "-p", str(self.port), *settings]
        # SIGQUIT is the shutdown that always ends within seconds; recovery at the next start loses nothing.
        return ServerProcess(
            command, log=self.log_path, cwd=self.folder, account=self._account, death_signal=signal.SIGQUIT
        )

    def _ready(self) -> bool:
        """Return whether this server, not a killed predecessor, says so in the pid file."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready   "]

    def _initdb(self) -> None:
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="utf-8")
        if self._account:
            shutil.chown(password_file, self._account.uid, self._account.gid)
        try:
            self._run_initdb(password_file)
        finally:
            password_file.unlink()

    def _run_initdb(self, password_file: Path) -> None:
        command = [
            self._program("initdb"), "--pgdata", str(self.data_dir), "--username", _SUPERUSER,
            "--auth", "scram-sha-256", "--pwfile", str(password_file),
            "--locale", "C", "--encoding", "UTF8", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        extra = self._account.popen_arguments() if self._account else {}
        with self.log_path.open("ab") as output:
            initdb = subprocess.Popen(  # noqa: S603  # the command is ours
                command,
                cwd=self.folder,
                env=clean_environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
                **extra,
            )
            try:
                failed = initdb.wait() != 0
            except BaseException:
                # It has children of its own, and they would go on writing into a folder that is being removed.
                os.killpg(initdb.pid, signal.SIGKILL)
                initdb.wait()
                raise
        if failed:
            raise EmbeddedServerError(f"initdb failed: {log_tail(self.log_path)}")

    def _program(self, name: str) -> str:
        if self._programs is None:
            installation = postgres_installation(self.version)
            self._programs = reachable_installation(installation, self._account, self.folder) / "bin"
        return str(self._programs / name)
