"""What a service writes is what consumers get: subject, body and headers, through a real relay."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from tests.support.outbox import outbox_table
from tests.support.postgres import ON_BOTH
from tests.support.processes import wait_for
from tests.support.stream import read_stream, stored, wait_for_stored

if TYPE_CHECKING:
    from datetime import datetime

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter


def psql(server: EmbeddedPostgres, url: str, statement: str) -> list[str]:
    """Run a statement through psql and return the columns of the one row that it prints."""
    done = subprocess.run(
        [server.psql_path, "--no-psqlrc", "--quiet", "-At", "-F", "|", "-v", "ON_ERROR_STOP=1", url],
        input=statement,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


@ON_BOTH
def test_a_plain_insert_through_psql_arrives_as_the_contract_says(
    postgres_server: EmbeddedPostgres, database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process()
    event_id, created_at = psql(
        postgres_server,
        database,
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload, headers)
        VALUES ('acme', 'goods.received', 'article', 'A-1', '{"n": 1, "name": "Käse"}',
            '{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1",
              "X-Note": "größer"}')
        RETURNING event_id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        """,
    )
    wait_for_stored(nats_server.url, 1)
    (message,) = read_stream(nats_server.url)
    assert (message.sequence, message.subject) == (1, "events.acme.goods.received")
    assert message.body.decode() == '{"n": 1, "name": "Käse"}'
    assert message.headers == {
        "Nats-Msg-Id": event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": "goods.received",
        "ce-source": "outbox-notify",
        "ce-subject": "A-1",
        "ce-time": created_at,
        "ce-tenantid": "acme",
        "ce-partitionkey": "article/A-1",
        "Content-Type": "application/json",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "a=1",
        "X-Note": "größer",
    }


def test_an_event_without_aggregate_has_no_subject_and_no_partition(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_SUBJECT_PREFIX="shop.eu", OUTBOX_CE_SOURCE="//shop/eu", OUTBOX_STREAM="SHOP")
    with outbox_table(database) as table:
        table.conn.execute(
            "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'day.closed', 'null')"
        )
        wait_for_stored(nats_server.url, 1, stream="SHOP")
    (message,) = read_stream(nats_server.url, "SHOP")
    assert (message.subject, message.body) == ("shop.eu.acme.day.closed", b"null")
    assert message.headers["ce-source"] == "//shop/eu"
    assert not message.headers.keys() & {"ce-subject", "ce-partitionkey"}


def test_bytes_arrive_byte_for_byte(database: str, nats_server: EmbeddedNats, relay_process: Starter) -> None:
    relay_process()
    bodies = [b"", bytes(range(256)), b"\r\n\r\nPUB a 1\r\n", b"x" * 900_000]
    with outbox_table(database) as table:
        for body in bodies:
            table.conn.execute(
                "INSERT INTO event_outbox (tenant_id, event_type, payload_bytes, content_type)"
                " VALUES ('acme', 'label.printed', %s, 'application/octet-stream')",
                [body],
            )
        wait_for_stored(nats_server.url, len(bodies))
    messages = read_stream(nats_server.url)
    assert [message.body for message in messages] == bodies
    assert {message.headers["Content-Type"] for message in messages} == {"application/octet-stream"}


def test_aggregate_ids_are_percent_encoded_as_cloudevents_says(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    written = {
        "Käse 100%": "K%C3%A4se%20100%25",
        '"quoted"': "%22quoted%22",
        "a/b:c;d=e": "a/b:c;d=e",
        "商品": "%E5%95%86%E5%93%81",
        "\U0001f9c0": "%F0%9F%A7%80",
    }
    with outbox_table(database) as table:
        for aggregate_id in written:
            table.conn.execute(
                "INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)"
                " VALUES ('acme', 'goods.received', 'article', %s, '1')",
                [aggregate_id],
            )
    assert relay_process("--drain").wait() == 0
    headers = [message.headers for message in read_stream(nats_server.url)]
    assert [found["ce-subject"] for found in headers] == list(written.values())
    assert [found["ce-partitionkey"] for found in headers] == [f"article/{text}" for text in written.values()]


def test_what_was_rolled_back_never_arrives(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process()
    insert = "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', %s, '1')"
    with outbox_table(database) as table:
        with table.conn.transaction(force_rollback=True):
            table.conn.execute(insert, ["whole.transaction"])
        with table.conn.transaction():
            with table.conn.transaction(force_rollback=True):
                table.conn.execute(insert, ["savepoint.only"])
            table.conn.execute(insert, ["committed.later"])
        # Both have lower ids than the event that is waited for: had they been there, they would be before it.
        wait_for_stored(nats_server.url, 1)
        table.wait_until_settled()
    assert [message.subject for message in read_stream(nats_server.url)] == ["events.acme.committed.later"]


def test_a_scheduled_event_arrives_at_its_time_and_not_a_second_late(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    # With a sweep this rare, only the relay's own knowledge of what comes due can be in time.
    relay_process(OUTBOX_SWEEP_INTERVAL="1h").wait_for_record("wake.ready")
    with outbox_table(database) as table:
        table.conn.execute("""
            INSERT INTO event_outbox (tenant_id, event_type, payload, available_at)
            VALUES ('acme', 'third', '1', now() + interval '3 seconds'),
                   ('acme', 'second', '1', now() + interval '1.5 seconds'),
                   ('acme', 'first', '1', now() - interval '1 hour'),
                   ('acme', 'never', '1', 'infinity')
        """)
        rows = table.conn.execute(
            "SELECT 'events.acme.' || event_type, available_at FROM event_outbox WHERE isfinite(available_at)"
        )
        due: dict[str, datetime] = dict(rows.fetchall())
        wait_for_stored(nats_server.url, 3)
        wait_for(lambda: table.count() == {"published": 3, "pending": 1}, 5, "three of four published")
    messages = read_stream(nats_server.url)
    assert [message.subject for message in messages] == [
        f"events.acme.{n}" for n in ("first", "second", "third")
    ]
    late = {
        message.subject: (message.stored_at - due[message.subject]).total_seconds()
        for message in messages[1:]
    }
    assert all(0 <= seconds < 1 for seconds in late.values()), late


def test_a_schedule_that_a_writer_brings_forward_is_found_by_the_sweep(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_SWEEP_INTERVAL="500ms").wait_for_record("wake.ready")
    with outbox_table(database) as table:
        table.conn.execute("""
            INSERT INTO event_outbox (tenant_id, event_type, payload, available_at)
            VALUES ('acme', 'later', '1', now() + interval '1 day')
        """)
        time.sleep(1)  # two sweeps, in which it must not go
        assert stored(nats_server.url) == 0
        table.conn.execute("UPDATE event_outbox SET available_at = created_at")
        wait_for_stored(nats_server.url, 1, timeout=5)
