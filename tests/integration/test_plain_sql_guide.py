"""The examples of docs/how-to/plain-sql.md do what the text says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors

from outbox_notify.schema.migration import packaged
from outbox_notify.writers.statements import AGGREGATE_LOCK_CLASS
from tests.support.guides import examples, guide

if TYPE_CHECKING:
    from tests.support.postgres import Link

REFUSED = re.compile(r"-- refused: (\w{5}) ?(\w*)\n")


@pytest.fixture(params=[16, 18])
def postgres_version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def run(connection: Link, example: str) -> None:
    """Run one example of the guide; it must fail with what its first line says, if it says so."""
    refused = REFUSED.match(example)
    if refused is None:
        connection.execute(example.encode())
        return
    with pytest.raises(errors.lookup(refused[1])) as caught:
        connection.execute(example.encode())
    assert (caught.value.diag.constraint_name or "") == refused[2]


def test_every_example_does_what_the_guide_says(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for example in examples("plain-sql", "sql"):
            run(connection, example)
        rows = connection.execute("SELECT event_type FROM event_outbox ORDER BY id").fetchall()

    assert [row[0] for row in rows] == [
        "goods.received",
        "label.printed",
        "order.paid",
        "stock.changed",
        "goods.received",
        "order.payment_due",
        "order.paid",
        "order.paid",
        "order.paid",
        "order.paid",
        "order.shipped",
        "order.reminded",
    ]


def test_guide_names_every_rule_of_the_table(database: str) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT conname FROM pg_constraint WHERE contype IN ('c', 'u')"
            " AND starts_with(conname, 'event_outbox')"
            " AND conname NOT IN ('event_outbox_lease', 'event_outbox_status_rule')"
            " AND (conrelid = 'event_outbox'::regclass OR contypid <> 0)"
        ).fetchall()

    assert rows
    text = guide("plain-sql")
    assert [row[0] for row in rows if f"`{row[0]}`" not in text] == []


def test_every_call_of_another_language_is_one_that_postgresql_takes(database: str) -> None:
    calls = re.findall(r"SELECT outbox_emit\([$?].*aggregate_id => .*?\)", guide("plain-sql"))
    assert len(calls) == 4
    with psycopg.connect(database) as connection:
        for call in calls:
            statement = re.sub(r"[$]\d|[?]", "%s", call).encode()
            connection.execute(statement, ["acme", "order.paid", "{}", "4711"])


def test_guide_function_and_emit_take_the_same_lock() -> None:
    taken = f"pg_advisory_xact_lock({AGGREGATE_LOCK_CLASS}, "
    assert taken in guide("plain-sql")
    assert any(taken in migration.text for migration in packaged())
