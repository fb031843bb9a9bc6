from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from outbox_notify.errors import OutboxError
from outbox_notify.operations.audit import Act
from outbox_notify.operations.failed import discard, requeue
from outbox_notify.schema.drift import verify
from outbox_notify.schema.migrate import migrate_up
from outbox_notify.schema.migration import packaged
from tests.support.audit import acts
from tests.support.events import put_failed
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import Iterator


@ON_BOTH
def test_act_says_who_did_what_when_and_to_how_many(conn: psycopg.Connection) -> None:
    ids, event_id = [put_failed(conn) for _ in range(5)], uuid4()
    given = {"names": (event_id, 7), "tenant": None, "everything": False, "older_than": 0.0}
    requeue(conn, "public", [ids[:2], ids[2:]], arguments=given)
    (act,) = acts(conn)
    assert (act["act"], act["events"]) == ("failed requeue", 5)
    assert (act["role"], act["client"]) == (conn.info.user, f"{getpass.getuser()}@{socket.gethostname()}")
    assert act["arguments"] == {"names": [str(event_id), 7], "older_than": 0.0}
    assert timedelta(0) <= datetime.now(UTC) - act["at"] < timedelta(minutes=1)


def test_each_act_has_a_row_of_its_own(conn: psycopg.Connection) -> None:
    requeue(conn, "public", [[put_failed(conn)]], new_ids=True)
    discard(conn, "public", [[put_failed(conn), put_failed(conn)]])
    assert [(act["act"], act["arguments"], act["events"]) for act in acts(conn)] == [
        ("failed requeue", {"new_ids": True}, 1),
        ("failed discard", {}, 2),
    ]


def test_step_that_fails_is_not_counted_and_those_before_it_are(conn: psycopg.Connection) -> None:
    first, second = put_failed(conn), put_failed(conn)

    def batches() -> Iterator[list[int]]:
        yield [first]
        conn.execute("ALTER TABLE event_outbox_audit ADD CHECK (events < 2)")
        yield [second]

    with pytest.raises(OutboxError, match="violates check constraint"):
        discard(conn, "public", batches())
    assert [act["events"] for act in acts(conn)] == [1]
    assert conn.execute("SELECT id FROM event_outbox").fetchall() == [(second,)]


def test_act_that_goes_on_counts_up_its_row(conn: psycopg.Connection) -> None:
    begun = Act(conn, "public", "replay", {})
    begun.add(3)
    Act(conn, "public", "replay", {}, begun.number).add(4)
    assert [act["events"] for act in acts(conn)] == [7]


@ON_BOTH
def test_second_migration_changes_nothing_of_the_first(empty_database: str) -> None:
    """A relay of the version before works on: what it knows is what it was."""
    first = packaged()[:1]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        migrate_up(conn, "public")
        conn.execute("DELETE FROM event_outbox_migration WHERE version > 1")
        verdict = verify(conn, "public", first)
        assert verdict.good
        assert verdict.extras == []
