"""TLS to PostgreSQL: what cannot prove who it is gets neither the password nor the name of the user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.postgres.database import connect
from outbox_notify.postgres.pool import Pool
from outbox_notify.postgres.wake_connection import wake_connection
from tests.support.outbox import OutboxTable, fill
from tests.support.stream import stored
from tests.support.tls import SSL_REQUEST, Authority, standing_before_postgres

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    import psycopg

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter

HOST = "127.0.0.1"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
REASONS = {
    "no TLS": "server does not support SSL",
    "another authority": "certificate verify failed",
    "another host": "does not match host name",
    "expired": "certificate verify failed",
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def shown_by_server(kind: str, authority: Authority, folder: Path) -> ssl.SSLContext | None:
    if kind == "no TLS":
        return None
    if kind == "another authority":
        (folder / "other").mkdir()
        return Authority(folder / "other").server(HOST)
    if kind == "another host":
        return authority.server("db.example.org")
    return authority.server(HOST, not_after=YESTERDAY)


def through(url: str, server: EmbeddedPostgres, port: int, authority: Authority) -> str:
    moved = url.replace(f":{server.port}/", f":{port}/")
    return f"{moved}?sslmode=verify-full&sslrootcert={authority.file}"


@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.anyio
async def test_t57_postgresql_that_does_not_prove_who_it_is_is_told_nothing(
    database: str, postgres_server: EmbeddedPostgres, authority: Authority, tmp_path: Path, kind: str
) -> None:
    shown = shown_by_server(kind, authority, tmp_path)
    with standing_before_postgres(postgres_server.port, shown) as front:
        settings = Settings(database_url=through(database, postgres_server, front.port, authority))
        refusal = pytest.raises(DatabaseUnreachable, match=REASONS[kind])
        with refusal:
            connect(settings)
        with refusal:
            await Pool(settings).transaction(("settle_begin", {}))
        with refusal:
            async with wake_connection(settings, "listen"):
                pass
        assert bytes(front.clear) == SSL_REQUEST * 3
        assert not front.told


def test_t57_a_relay_works_through_tls_and_waits_for_a_certificate_that_is_renewed(
    database: str,
    conn: psycopg.Connection,
    postgres_server: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    authority: Authority,
    relay_process: Starter,
) -> None:
    fill(conn, 10)
    with standing_before_postgres(postgres_server.port, authority.server(HOST, not_after=YESTERDAY)) as front:
        relay = relay_process(OUTBOX_DATABASE_URL=through(database, postgres_server, front.port, authority))
        refused = relay.wait_for_record("claim.postponed")
        assert REASONS["expired"] in refused["reason"]
        front.tls = authority.server(HOST)
        OutboxTable(conn).wait_until_settled()
        relay.wait_for_record("wake.ready")
        assert relay.stop() == 0
        assert front.told
        assert set(bytes(front.clear).split(SSL_REQUEST)) == {b""}
    assert stored(nats_server.url) == 10
    password = database.split("@", maxsplit=1)[0].rpartition(":")[2]
    assert password not in relay.text
