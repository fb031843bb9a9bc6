"""`serialize=True`: the order of ids is the order of commits, for writers that lock nothing else."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from outbox_notify import Event, emit, emit_async
from outbox_notify.writers.statements import AGGREGATE_LOCK_CLASS
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.postgres import Link

pytestmark = ON_BOTH


@pytest.fixture
def connect(database: str) -> Iterator[Callable[[], Link]]:
    opened: list[Link] = []

    def open_one() -> Link:
        opened.append(psycopg.connect(database))
        return opened[-1]

    yield open_one
    for link in opened:
        link.close()


@pytest.fixture
def observer(database: str) -> Iterator[Link]:
    with psycopg.connect(database, autocommit=True) as link:
        yield link


def about(aggregate_id: str, payload: object = 1) -> Event:
    return Event("acme", "order.changed", payload, aggregate_type="order", aggregate_id=aggregate_id)


def in_background(link: Link, *events: Event) -> threading.Thread:
    """Emit serialized on a thread of its own, which waits for the locks and then commits."""

    def write() -> None:
        emit(link, *events, serialize=True)
        link.commit()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def lock_keys(observer: Link, link: Link, *, granted: bool) -> list[int]:
    """Return the keys of the aggregates' locks that a connection holds, or waits for."""
    rows = observer.execute(
        "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
        " AND classid = %s AND pid = %s AND granted = %s",
        [AGGREGATE_LOCK_CLASS, link.info.backend_pid, granted],
    )
    return sorted(as_int32(row[0]) for row in rows)


def as_int32(oid: int) -> int:
    """Return the signed key that pg_locks shows as an unsigned oid."""
    return oid - 2**32 if oid >= 2**31 else oid


def wait_until_waiting(observer: Link, link: Link) -> None:
    """Return once the connection waits for an aggregate's lock."""
    deadline = time.monotonic() + 10
    while not lock_keys(observer, link, granted=False):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.005)


def key_of(observer: Link, aggregate_id: str) -> int:
    row = observer.execute(
        "SELECT event_outbox_ordering_key('acme', 'order', %s) >> 32", [aggregate_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def payloads(observer: Link) -> list[Any]:
    return [row[0] for row in observer.execute("SELECT payload FROM event_outbox ORDER BY id")]


def test_writers_of_one_aggregate_wait_for_each_other(connect: Callable[[], Link], observer: Link) -> None:
    first, second = connect(), connect()
    emit(first, about("1", "first"), serialize=True)
    waiting = in_background(second, about("1", "second"))
    wait_until_waiting(observer, second)

    emit(first, about("1", "still first"), serialize=True)
    first.commit()
    waiting.join(10)
    assert payloads(observer) == ["first", "still first", "second"]


def test_rollback_lets_the_next_writer_go_on(connect: Callable[[], Link], observer: Link) -> None:
    first, second = connect(), connect()
    emit(first, about("1", "first"), serialize=True)
    waiting = in_background(second, about("1", "second"))
    wait_until_waiting(observer, second)

    first.rollback()
    waiting.join(10)
    assert payloads(observer) == ["second"]


def test_writers_of_different_aggregates_do_not_wait(connect: Callable[[], Link], observer: Link) -> None:
    first, second = connect(), connect()
    emit(first, about("1", "first"), serialize=True)
    emit(second, about("2", "second"), serialize=True)
    second.commit()

    assert payloads(observer) == ["second"]


def test_writers_that_do_not_serialize_do_not_wait(connect: Callable[[], Link], observer: Link) -> None:
    first, second = connect(), connect()
    emit(first, about("1", "first"), serialize=True)
    emit(second, about("1", "second"))
    second.commit()

    assert payloads(observer) == ["second"]


def test_locks_are_taken_in_sorted_order_and_once(connect: Callable[[], Link], observer: Link) -> None:
    numbers = [str(number) for number in range(50)]
    keys = sorted(key_of(observer, number) for number in numbers)
    middle = next(number for number in numbers if key_of(observer, number) == keys[25])
    first, second = connect(), connect()
    emit(first, about(middle), serialize=True)
    waiting = in_background(second, *(about(number) for number in [*numbers, *reversed(numbers)]))
    wait_until_waiting(observer, second)

    assert lock_keys(observer, second, granted=True) == keys[:25]
    assert lock_keys(observer, second, granted=False) == [keys[25]]
    first.commit()
    waiting.join(10)
    assert len(payloads(observer)) == 101


def test_opposite_orders_do_not_deadlock(connect: Callable[[], Link], observer: Link) -> None:
    events = [about(str(number)) for number in range(40)]
    holder, forwards, backwards = connect(), connect(), connect()
    emit(holder, events[20], serialize=True)
    threads = [in_background(forwards, *events), in_background(backwards, *reversed(events))]
    wait_until_waiting(observer, forwards)
    wait_until_waiting(observer, backwards)

    holder.commit()
    for thread in threads:
        thread.join(10)
    assert len(payloads(observer)) == 81


def test_events_without_an_aggregate_take_no_lock(connect: Callable[[], Link], observer: Link) -> None:
    link = connect()
    emit(link, Event("acme", "order.changed", 1), serialize=True)

    assert lock_keys(observer, link, granted=True) == []


def test_locks_end_with_the_transaction(connect: Callable[[], Link], observer: Link) -> None:
    link = connect()
    emit(link, about("1"), serialize=True)
    assert lock_keys(observer, link, granted=True) == [key_of(observer, "1")]

    link.commit()
    assert lock_keys(observer, link, granted=True) == []


def test_serialize_needs_a_transaction(observer: Link) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="serialize=True needs a transaction"):
        emit(observer, about("1"), serialize=True)

    with observer.transaction():
        emit(observer, about("1", "in a block"), serialize=True)
    observer.execute("BEGIN")
    emit(observer, about("1", "after BEGIN"), serialize=True)
    observer.execute("COMMIT")
    assert payloads(observer) == ["in a block", "after BEGIN"]


@pytest.mark.anyio
async def test_serialize_needs_a_transaction_asynchronously_too(database: str, observer: Link) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as link:
        with pytest.raises(psycopg.ProgrammingError, match="serialize=True needs a transaction"):
            await emit_async(link, about("1"), serialize=True)
        async with link.transaction(), link.pipeline():
            await emit_async(link, about("1"), serialize=True)

    assert payloads(observer) == [1]
