"""The embedded servers by themselves."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres, EmbeddedServerError
from outbox_notify.embedded.proc import is_alive
from tests.support.postgres import ON_BOTH


@ON_BOTH
def test_postgres_of_the_asked_version_answers(database: str, postgres_version: int) -> None:
    with psycopg.connect(database) as connection:
        assert connection.info.server_version // 10000 == postgres_version
        assert connection.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)


def test_committed_rows_survive_a_killed_postgres(private_postgres: EmbeddedPostgres) -> None:
    url, pid = private_postgres.url, private_postgres.pid
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    private_postgres.kill()
    assert not is_alive(pid)
    private_postgres.start()
    assert private_postgres.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_frozen_postgres_takes_connections_and_answers_nothing_until_thawed(
    private_postgres: EmbeddedPostgres,
) -> None:
    private_postgres.freeze()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(private_postgres.url, connect_timeout=2)
    private_postgres.thaw()
    psycopg.connect(private_postgres.url, connect_timeout=10).close()


def test_a_frozen_postgres_can_be_closed(private_postgres: EmbeddedPostgres) -> None:
    pid, folder = private_postgres.pid, private_postgres.folder
    private_postgres.freeze()
    private_postgres.close()
    assert not is_alive(pid)
    assert not folder.exists()


def test_postgres_asks_for_its_password(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{postgres_server.port}/postgres")


def test_a_postgres_that_cannot_start_shows_its_log() -> None:
    server = EmbeddedPostgres(settings={"shared_buffers": "nonsense"})
    try:
        with pytest.raises(EmbeddedServerError, match="shared_buffers"):
            server.start()
        assert not server.running
    finally:
        server.close()


def test_nats_keeps_its_port_and_its_streams_over_a_kill(nats_server: EmbeddedNats) -> None:
    url = nats_server.url
    nats_server.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", nats_server.port), timeout=1)
    nats_server.start()
    assert nats_server.url == url
    assert nats_server.data_dir.is_dir()


def test_frozen_nats_answers_nothing_until_thawed(nats_server: EmbeddedNats) -> None:
    nats_server.freeze()
    with pytest.raises(TimeoutError):
        nats_server._ask("/healthz")
    nats_server.thaw()
    status, _ = nats_server._ask("/healthz")
    assert status == http.client.OK


def test_a_nats_that_cannot_start_shows_its_log() -> None:
    with pytest.raises(EmbeddedServerError, match="Parse error"), EmbeddedNats("nonsense {"):
        pass


def test_servers_listen_on_this_host_only(
    postgres_server: EmbeddedPostgres, nats_server: EmbeddedNats
) -> None:
    ports = {postgres_server.port, nats_server.port}
    listening = _listeners()
    assert {address for address, port in listening if port in ports} == {"0100007F"}


def _listeners() -> list[tuple[str, int]]:
    """Return address (as the kernel writes it) and port of every listening IPv4 socket."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return [(address, int(port, 16)) for address, port in local]
