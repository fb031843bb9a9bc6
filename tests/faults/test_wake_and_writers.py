"""What the wake does to writers, to the notification queue, and to a relay that cannot listen at all."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.processes import wait_for
from tests.support.stream import read_stream
from tests.support.wake import LISTEN
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.ages import Ages
    from tests.support.command import Starter
    from tests.support.proxy import Proxy
    from tests.support.wake import WakeView

NO_SWEEP = {"OUTBOX_SWEEP_INTERVAL": "10m"}
# What a relay waits at most that hears nothing, and some room.
POLL = 0.5 + 0.5
BODY = 1_000_000
INSERT = "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'large', to_jsonb(repeat('x', %s)))"
QUEUE = """
    SELECT pg_notification_queue_usage(), (
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'outbox-notify%%'
            AND state LIKE 'idle in transaction%%' AND state_change < now() - interval '1 second')
"""
# A few pages of the eight gigabytes are given free late.
A_FEW_PAGES = 1e-4


def test_t06_an_event_of_a_megabyte_wakes_the_relay_like_any_other(
    conn: psycopg.Connection,
    wake: WakeView,
    nats_server: EmbeddedNats,
    relay_process: Starter,
) -> None:
    relay_process(**NO_SWEEP).wait_for_record("wake.ready")
    wake.wait_until_armed()
    conn.execute(INSERT, [BODY])
    wait_for(lambda: len(read_stream(nats_server.url)) == 1, 10, "the event to arrive")
    (message,) = read_stream(nats_server.url)
    assert message.json == "x" * BODY


def test_t07_a_writer_with_two_phase_commit_is_told_that_it_cannot_notify(
    database: str, wake: WakeView, relay_process: Starter
) -> None:
    relay_process(**NO_SWEEP).wait_for_record("wake.ready")
    wake.wait_until_armed()
    with closing(psycopg.connect(database)) as writer:
        writer.tpc_begin("goods receipt 1")
        writer.execute(INSERT, [1])
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
            writer.tpc_prepare()


@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=pytest.mark.slow)])
def test_t09_a_listener_that_is_never_in_a_transaction_keeps_the_queue_empty(
    database: str,
    conn: psycopg.Connection,
    relay_process: Starter,
    measured: Callable[..., None],
    seconds: int,
) -> None:
    for _ in range(2):
        relay_process(OUTBOX_WAKE="always").wait_for_record("wake.ready")
    usage, lingering = 0.0, 0
    with Writers(database, pause=0.001) as writers:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            (used, idle), *_ = conn.execute(QUEUE).fetchall()
            usage, lingering = max(usage, used), max(lingering, idle)
            time.sleep(0.02)
    measured(usage=usage, lingering=lingering, events=len(writers.ledger.committed))
    assert len(writers.ledger.committed) > 50
    assert usage < A_FEW_PAGES
    assert lingering == 0


@pytest.mark.parametrize("reason", ["refused", pytest.param("password", marks=pytest.mark.slow)])
def test_t10_a_relay_that_cannot_listen_polls_and_goes_on_trying(
    database: str,
    proxied_database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
    reason: str,
) -> None:
    if reason == "refused":
        proxy.refuse()
    listen = proxied_database if reason == "refused" else with_wrong_password(database)
    relay = relay_process(OUTBOX_LISTEN_DATABASE_URL=listen, **NO_SWEEP)
    relay.wait_for_record("wake.lost")
    relay.wait_for_record("nats.connected")
    for _ in range(8):
        ages.insert(conn)
        ages.all()
    measured(latest=max(ages.all()))
    assert max(ages.all()) < POLL
    assert wake.backends(LISTEN) == set()
    assert relay.running
    if reason == "refused":
        proxy.restore()
        relay.wait_for_record("wake.ready", timeout=15)


def with_wrong_password(url: str) -> str:
    """Return the URL with a password that is not the user's."""
    user, _, rest = url.partition("@")
    return f"{user.rpartition(':')[0]}:wrong-one@{rest}"
