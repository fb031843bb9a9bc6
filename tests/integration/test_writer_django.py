"""What Django's users see of an event: their query log, their atomic blocks, their other databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connections
from django.db.transaction import atomic, get_connection
from django.test.utils import CaptureQueriesContext

from outbox_notify import Event
from outbox_notify.writers.django import emit
from tests.support.django_database import django_database

if TYPE_CHECKING:
    from collections.abc import Iterator

PAID = Event("acme", "order.paid", {"order": 1}, aggregate_type="order", aggregate_id="1")


@pytest.fixture
def shop(database: str) -> Iterator[str]:
    with django_database(database) as alias:
        yield alias


def test_events_are_one_query_of_djangos_own(shop: str) -> None:
    with atomic(using=shop), CaptureQueriesContext(connections[shop]) as seen:
        emit(PAID, PAID, using=shop)

    assert len(seen) == 1
    assert "event_outbox" in seen.captured_queries[0]["sql"]


def test_block_that_is_marked_for_rollback_takes_no_event(shop: str) -> None:
    with atomic(using=shop):
        emit(PAID, using=shop)
        get_connection(shop).set_rollback(True)
    with connections[shop].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM event_outbox")
        assert cursor.fetchall() == [(0,)]


def test_cursors_that_bind_on_the_server_write_too(shop: str) -> None:
    connections.settings[shop]["OPTIONS"]["server_side_binding"] = True
    with atomic(using=shop):
        emit(PAID, Event("acme", "label.printed", payload_bytes=b"\0"), using=shop, serialize=True)
    with connections[shop].cursor() as cursor:
        cursor.execute("SELECT count(*), count(payload_bytes) FROM event_outbox")
        assert cursor.fetchall() == [(2, 1)]


def test_other_databases_are_a_type_error(shop: str) -> None:
    connections.settings[shop]["ENGINE"] = "django.db.backends.sqlite3"
    with pytest.raises(TypeError, match="a table of PostgreSQL, not of sqlite"):
        emit(PAID, using=shop)
