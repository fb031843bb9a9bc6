"""JetStream's store: what it forgets when it dies, and what happens when it is full."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from anyio import run as run_async

from tests.support.command import run
from tests.support.figures import known_already
from tests.support.outbox import OutboxTable, fill
from tests.support.processes import wait_for
from tests.support.proxy import DOWN, Proxy
from tests.support.stream import (
    connected,
    create_stream,
    jetstream_api,
    read_stream,
    stored,
    update_stream,
    wait_for_stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

QUICK = {"OUTBOX_LEASE": "5s", "OUTBOX_PUBLISH_TIMEOUT": "2s", "OUTBOX_SWEEP_INTERVAL": "1s"}
EVENTS = 40


def publish_without_acks_and_kill(
    conn: psycopg.Connection, nats: EmbeddedNats, proxy: Proxy, before_kill: Callable[[], object]
) -> float:
    """Let the stream store all events and no ack come back, kill the server, and return when it was there again."""
    proxy.deaf(DOWN)
    fill(conn, EVENTS, aggregates=0)
    wait_for_stored(nats.url, EVENTS)
    before_kill()
    assert OutboxTable(conn).count()["published"] == 0
    nats.kill()
    # The proxy would still deliver the acks that it held back.
    proxy.cut()
    nats.start()
    proxy.restore()
    return time.monotonic()


def test_t38_a_killed_server_knows_what_a_stream_with_limits_holds(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    with Proxy(nats_server.port) as proxy:
        relay = relay_process(OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", **QUICK)
        relay.wait_for_record("wake.ready")
        relay.wait_for_record("nats.connected")
        back = publish_without_acks_and_kill(conn, nats_server, proxy, lambda: None)
        OutboxTable(conn).wait_until_settled()
        recovered = time.monotonic() - back
    assert stored(nats_server.url) == EVENTS
    wait_for(lambda: known_already(relay) == EVENTS, 5, "the duplicates to be told")
    assert not any(row.attempts for row in OutboxTable(conn).rows())
    account(
        lost=0, duplicates=0, duplicate_acks=known_already(relay), failed=0, recover_s=round(recovered, 1)
    )


def test_t38_a_killed_server_has_forgotten_what_was_taken_from_a_work_queue(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    url = nats_server.url
    create_stream(url, "events.>", retention="workqueue", duplicate_window=600 * 10**9)
    taken: list[str] = []

    def take() -> None:
        taken.extend(run_async(_take_all, url))

    with Proxy(nats_server.port) as proxy:
        relay = relay_process(OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", **QUICK)
        relay.wait_for_record("wake.ready")
        relay.wait_for_record("nats.connected")
        publish_without_acks_and_kill(conn, nats_server, proxy, take)
        OutboxTable(conn).wait_until_settled()
    take()
    # Nothing is lost. That all come twice is what such a stream costs here; only a consumer can tell.
    assert len(set(taken)) == EVENTS
    assert len(taken) == 2 * EVENTS
    account(lost=0, duplicates=len(taken) - EVENTS, duplicate_acks=known_already(relay), failed=0)


def test_t42_a_stream_that_is_full_of_bytes_rests_its_route_and_goes_on_when_there_is_room(
    conn: psycopg.Connection,
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    url = nats_server.url
    create_stream(url, "events.full.>", name="FULL", max_bytes=20_000, discard="new")
    create_stream(url, "events.acme.>", name="ROOMY")
    relay = relay_process(OUTBOX_MAX_ATTEMPTS="2", OUTBOX_RETRY_BASE="10ms", **QUICK)
    table = OutboxTable(conn)
    fill(conn, 60, tenant="full", aggregates=4, size=1000)
    fill(conn, 60, tenant="acme", aggregates=4)
    wait_for_stored(url, 60, stream="ROOMY", timeout=10)
    resting = relay.wait_for_record("route.resting")
    assert (resting["route"], resting["reason"]) == ("full.stock.moved", "maximum bytes exceeded (10077)")
    wait_for(lambda: table.count()["in_progress"] == 0, 10, "everything to be settled or given back")
    assert reasons(database)["full.stock.moved"] == "maximum bytes exceeded (10077)"
    held = stored(url, "FULL")
    assert 0 < held < 60
    assert table.count() == {"published": 60 + held, "pending": 60 - held}
    first = read_stream(url, "FULL")
    began = time.monotonic()
    jetstream_api(url, "STREAM.PURGE.FULL")
    update_stream(url, "FULL", max_bytes=-1)
    table.wait_until_settled()
    account(lost=0, duplicates=0, out_of_order=0, failed=0, recover_s=round(time.monotonic() - began, 1))
    relay.wait_for_record("route.recovered")
    assert not any(row.attempts for row in table.rows())
    numbers = [message.json["n"] for message in first + read_stream(url, "FULL")]
    assert len(numbers) == 60
    for aggregate in range(4):
        own = [number for number in numbers if number % 4 == aggregate]
        assert own == sorted(own)
    assert reasons(database) == {}


def reasons(database: str) -> dict[str, str]:
    """Return why events came back, by route, as `status` tells it."""
    done = run("status", "--json", OUTBOX_DATABASE_URL=database)
    return {each["route"]: each["reason"] for each in json.loads(done.stdout)["returned"]}


async def _take_all(url: str) -> list[str]:
    """Take from the work queue what it holds; return the message ids."""
    async with connected(url) as client:
        consumer = await client.jetstream().pull_subscribe("events.>", durable="worker")
        messages: list[Any] = await consumer.fetch(EVENTS, timeout=10)
        for message in messages:
            await message.ack_sync()
        return [message.headers["Nats-Msg-Id"] for message in messages]
