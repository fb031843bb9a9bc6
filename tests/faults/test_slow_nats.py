"""JetStream answers late: what does not get its turn within a lease is given back, never held too long."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import out_of_order
from tests.support.figures import fenced, reclaims, repeats
from tests.support.outbox import OutboxTable, fill
from tests.support.proxy import Proxy
from tests.support.stream import create_stream, read_stream, spying

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

SLOW = {
    "OUTBOX_LEASE": "5s",
    "OUTBOX_PUBLISH_TIMEOUT": "2s",
    "OUTBOX_SWEEP_INTERVAL": "500ms",
    "OUTBOX_BATCH_SIZE": "100",
}
EVENTS, AGGREGATES = 100, 20
# There and back together: the time that each message is late.
LATE = 0.8


@pytest.mark.slow
def test_t17_a_batch_that_takes_longer_than_its_lease_is_given_back_in_time(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
    measured: Callable[..., None],
) -> None:
    # One ack for each event: for many together, a batch would be through in time.
    create_stream(nats_server.url, "events.>", duplicate_window=600 * 10**9)
    with ExitStack() as open_, spying(nats_server.url) as spy:
        proxies = [open_.enter_context(Proxy(nats_server.port)) for _ in range(2)]
        relays = [
            relay_process(OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", **SLOW) for proxy in proxies
        ]
        for relay in relays:
            relay.wait_for_record("wake.ready")
            relay.wait_for_record("nats.connected")
        for proxy in proxies:
            proxy.slow(delay=LATE / 2)
        began = time.monotonic()
        fill(conn, EVENTS, aggregates=AGGREGATES)
        OutboxTable(conn).wait_until_settled(60)
        took = time.monotonic() - began
    rows, stream = OutboxTable(conn).rows(), read_stream(nats_server.url)
    given_back = sum(record["events"] for relay in relays for record in relay.records("events.released"))
    measured(took=took, given_back=given_back, repeats=repeats(spy))
    account(
        lost=EVENTS - len({message.event_id for message in stream}),
        duplicates=len(stream) - EVENTS,
        out_of_order=len(out_of_order(rows, stream)),
        duplicate_acks=repeats(spy),
        reclaims=reclaims(*relays),
        fenced=fenced(*relays),
        failed=sum(row.status == "failed" for row in rows),
    )
    # Longer than the deadline for a batch, so one relay or the other had to give back.
    assert given_back >= 1
    # In the hands of one relay at a time: no lease ran out while its events were under way.
    assert reclaims(*relays) == fenced(*relays) == 0
    assert len(stream) == EVENTS
    assert out_of_order(rows, stream) == []
    assert not any(row.attempts for row in rows)
