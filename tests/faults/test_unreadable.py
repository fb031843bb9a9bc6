"""Events that PostgreSQL itself cannot show: each fails with its reason, and nobody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.outbox import OutboxTable, fill
from tests.support.postgres import migrate
from tests.support.stream import create_stream, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

pytestmark = pytest.mark.fault

# A byte that the encoding of the database lets in, and that is no letter in it.
NO_LETTER = b"INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'odd', '\"\x81\"')"
# Each number is a 1 with 131,071 zeros in text, and ten bytes as it is stored.
TOO_LONG = """
    INSERT INTO event_outbox (tenant_id, event_type, payload)
    VALUES ('acme', 'odd', ('[' || rtrim(repeat('1e131071,', 9000), ',') || ']')::jsonb)
"""


@pytest.fixture
def windows_database(database: str, conn: psycopg.Connection) -> Iterator[str]:
    """URL of a migrated database with an encoding in which some bytes are no letters."""
    conn.execute("CREATE DATABASE windows ENCODING 'WIN1252' LOCALE 'C' TEMPLATE template0")
    url = urlsplit(database)._replace(path="/windows").geturl()
    migrate(url)
    yield url
    conn.execute("DROP DATABASE windows WITH (FORCE)")


@pytest.mark.parametrize("around", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_event_that_is_no_text_fails_and_the_others_flow(
    windows_database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    around: int,
) -> None:
    create_stream(nats_server.url, "events.>")
    with psycopg.connect(windows_database, autocommit=True, client_encoding="WIN1252") as conn:
        fill(conn, around)
        conn.pgconn.exec_(NO_LETTER)
        fill(conn, around)
        relay_process(OUTBOX_DATABASE_URL=windows_database)
        only_odd_one_fails(OutboxTable(conn), "WIN1252")
    assert stored(nats_server.url) == 2 * around


@pytest.mark.slow
def test_event_that_no_text_can_hold_fails_and_the_others_flow(
    conn: psycopg.Connection, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    create_stream(nats_server.url, "events.>")
    fill(conn, 50)
    conn.execute(TOO_LONG)
    fill(conn, 50)
    relay_process()
    only_odd_one_fails(OutboxTable(conn), "exceed")
    assert stored(nats_server.url) == 100


def only_odd_one_fails(table: OutboxTable, reason: str) -> None:
    table.wait_until_settled(60)
    ((event_type, said),) = table.conn.execute(
        "SELECT event_type, last_error FROM event_outbox WHERE status = 'failed'"
    ).fetchall()
    assert event_type == "odd"
    assert "cannot be read" in said
    assert reason in said
