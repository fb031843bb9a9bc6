"""An embedded nats-server with JetStream."""

from __future__ import annotations

import http.client
import json
import signal
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from outbox_notify.embedded.binaries import nats_server_program
from outbox_notify.embedded.errors import EmbeddedServerError
from outbox_notify.embedded.process import ServerProcess
from outbox_notify.embedded.server import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedNats(EmbeddedServer):
    """A nats-server with JetStream and an empty store, on random ports of 127.0.0.1.

    Args:
        config: text of a nats-server configuration (limits, users, TLS); ports, address and store stay ours.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, config: str = "") -> None:
        super().__init__("nats", account=None)
        self._config = config
        self._port: int | None = None
        self._monitoring_port: int | None = None

    @property
    def url(self) -> str:
        """Address for clients, without credentials."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port for clients, which stays the same over restarts; known after the first start."""
        if self._port is None:
            raise EmbeddedServerError("the embedded nats server picks its port when it starts")
        return self._port

    @property
    def monitoring_url(self) -> str:
        """Address of the HTTP monitoring endpoints (`/varz`, `/jsz` and so on)."""
        return f"http://127.0.0.1:{self._monitoring_port}"

    @property
    def data_dir(self) -> Path:
        """The folder that holds JetStream's files."""
        return self.folder / "store"

    @property
    def version(self) -> str:
        """Version of the running server, as it says itself."""
        _, body = self._ask("/varz")
        return str(json.loads(body)["version"])

    def start(self) -> None:
        """Start the server and return when JetStream is ready.

        Raises:
            ConfigError: the wheel with the program is not installed.
            EmbeddedServerError: it did not become ready; the text holds the end of its log.
        """
        if self.running:
            return
        self._process = self._launch()
        try:
            self._process.wait_until(self._ready, timeout=self.start_timeout)
        except EmbeddedServerError:
            self._process = None
            raise

    def reload(self, config: str) -> None:
        """Replace the configuration and tell the server to read it; it follows within moments."""
        self._config = config
        self._write_config()
        self._running().send(signal.SIGHUP)

    def _launch(self) -> ServerProcess:
        command = [
            str(nats_server_program()), "--config", str(self._write_config()), "--addr", "127.0.0.1",
            "--port", str(self._port or -1), "--http_port", str(self._monitoring_port or -1),
            "--ports_file_dir", str(self.folder), "--jetstream", "--store_dir", str(self.data_dir),
        ]  # fmt: skip
        return ServerProcess(command, log=self.log_path, cwd=self.folder)

    def _write_config(self) -> Path:
        path = self.folder / "nats.conf"
        path.write_text(self._config, encoding="utf-8")
        return path

    def _ready(self) -> bool:
        if self._port is None and not self._learn_ports():
            return False
        try:
            status, _ = self._ask("/healthz?js-enabled-only=true")
        except (OSError, http.client.HTTPException):
            return False
        return status == http.client.OK

    def _learn_ports(self) -> bool:
        """Read the ports that the server picked, once it has written them."""
        try:
            ports = json.loads((self.folder / f"nats-server_{self.pid}.ports").read_text(encoding="utf-8"))
            self._monitoring_port = urlsplit(ports["monitoring"][0]).port
            self._port = urlsplit(ports["nats"][0]).port
        except (FileNotFoundError, ValueError):
            return False
        return self._port is not None

    def _ask(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._monitoring_port or 0, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
