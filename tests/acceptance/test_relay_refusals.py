"""What JetStream refuses: by whose fault, what it costs, and who else notices."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.support.arrivals import numbers
from tests.support.command import QUICK
from tests.support.front import REFUSE, STORE, Answer, standing_before
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.stream import (
    create_stream,
    jetstream_api,
    read_stream,
    stored,
    update_stream,
    wait_for_stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter


def test_t24_refused_rows_fail_at_once_with_the_reason_and_the_rest_of_the_batch_goes_out(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, account: Callable[..., None]
) -> None:
    create_stream(nats_server.url, "events.>", max_msg_size=2000)
    with outbox_table(database) as table:
        fill(table.conn, 50)
        fill(table.conn, 7, size=3000)
        fill(table.conn, 43)
        relay = relay_process()
        table.wait_until_settled()
        assert table.count() == {"published": 93, "failed": 7}
        refused = [row for row in table.rows() if row.status == "failed"]
    assert {(row.last_error, row.attempts) for row in refused} == {
        ("message size exceeds maximum allowed (10054)", 1)
    }
    assert stored(nats_server.url) == 93
    wait_for(lambda: len(relay.records("event.failed")) == 7, 5, "a record of each")
    account(lost=0, failed=len(refused))


def test_t29_what_is_too_large_for_the_server_fails_and_the_connection_lives_on(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay = relay_process()
    with outbox_table(database) as table:
        fill(table.conn, 50)
        fill(table.conn, 1, size=2_000_000)
        fill(table.conn, 50)
        table.wait_until_settled()
        assert table.count() == {"published": 100, "failed": 1}
        (failed,) = [row for row in table.rows() if row.status == "failed"]
    assert "1048576" in (failed.last_error or "")
    assert not relay.records("outage.started")


def test_an_unknown_refusal_is_tried_again_and_fails_after_the_last_attempt(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    tries: Counter[str] = Counter()

    def decide(subject: str, _event_id: str) -> Answer:
        tries[subject] += 1
        return REFUSE if subject.endswith(".refused") else STORE

    with outbox_table(database) as table, standing_before(nats_server.url, decide):
        insert = "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', %s, '1')"
        table.conn.execute(insert, ["refused"])
        table.conn.execute(insert, ["taken"])
        relay = relay_process(OUTBOX_MAX_ATTEMPTS="4", OUTBOX_RETRY_BASE="100ms")
        table.wait_until_settled()
        refused, taken = table.rows()
    assert (refused.status, refused.attempts, refused.last_error) == ("failed", 4, "not today (19999)")
    assert (taken.status, taken.attempts) == ("published", 0)
    assert tries == {"events.acme.refused": 4, "events.acme.taken": 1}
    assert [record["attempt"] for record in relay.records("publish.retry")] == [1, 2, 3]


def test_an_event_that_is_taken_at_the_third_try_is_published_before_its_followers(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    tries: Counter[str] = Counter()

    def decide(_subject: str, event_id: str) -> Answer:
        tries[event_id] += 1
        return REFUSE if event_id == first and tries[event_id] < 3 else STORE

    with outbox_table(database) as table:
        fill(table.conn, 30, aggregates=1)
        first = table.rows()[0].event_id
        with standing_before(nats_server.url, decide):
            relay_process(OUTBOX_RETRY_BASE="1s")
            table.wait_until_settled()
        assert table.rows()[0].attempts == 2
    assert numbers(read_stream(nats_server.url)) == list(range(1, 31))
    # Those behind were never tried in vain.
    assert sum(tries.values()) == 32


def test_t42_a_full_stream_rests_its_route_and_recovers_by_itself(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    url = nats_server.url
    create_stream(url, "events.full.>", name="FULL", max_msgs=5, discard="new")
    create_stream(url, "events.acme.>", name="ROOMY")
    relay = relay_process(OUTBOX_MAX_ATTEMPTS="2", OUTBOX_RETRY_BASE="10ms", **QUICK)
    with outbox_table(database) as table:
        fill(table.conn, 40, tenant="full", aggregates=4)
        fill(table.conn, 40, tenant="acme", aggregates=4)
        wait_for_stored(url, 40, stream="ROOMY")
        resting = relay.wait_for_record("route.resting")
        assert resting["route"] == "full.stock.moved"
        assert "maximum messages exceeded" in resting["reason"]
        # While one route rests the others are as quick as ever.
        fill(table.conn, 40, tenant="acme", aggregates=4)
        wait_for_stored(url, 80, stream="ROOMY", timeout=5)
        # Stored is a moment before marked.
        wait_for(lambda: table.count() == {"published": 85, "pending": 35}, 5, "the account")
        update_stream(url, "FULL", max_msgs=-1)
        table.wait_until_settled()
        relay.wait_for_record("route.recovered")
        assert not any(row.attempts for row in table.rows())
    full = read_stream(url, "FULL")
    for aggregate in range(4):
        assert [m.json["n"] for m in full if m.json["n"] % 4 == aggregate] == [
            n for n in range(1, 41) if n % 4 == aggregate
        ]


def test_a_tenant_without_a_stream_waits_for_one_and_holds_up_nobody(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    url = nats_server.url
    create_stream(url, "events.acme.>", name="ACME")
    relay = relay_process(**QUICK)
    with outbox_table(database) as table:
        fill(table.conn, 20, tenant="newcomer")
        fill(table.conn, 20, tenant="acme")
        wait_for_stored(url, 20, stream="ACME")
        assert relay.wait_for_record("route.resting")["route"] == "newcomer.stock.moved"
        create_stream(url, "events.newcomer.>", name="NEWCOMER")
        table.wait_until_settled()
        assert not any(row.attempts for row in table.rows())
    assert stored(url, "NEWCOMER") == 20
    assert stored(url, "ACME") == 20
    assert not relay.records("outage.started")


def test_a_stream_that_is_deleted_and_made_again_gets_everything(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    url = nats_server.url
    relay = relay_process(**QUICK)
    with outbox_table(database) as table:
        fill(table.conn, 20)
        table.wait_until_settled()
        jetstream_api(url, "STREAM.DELETE.OUTBOX")
        fill(table.conn, 20)
        relay.wait_for_record("route.resting")
        create_stream(url, "events.>", name="OTHER")
        table.wait_until_settled()
        assert not any(row.attempts for row in table.rows())
    assert stored(url, "OTHER") == 20


def test_t36_a_publish_right_that_is_taken_away_and_given_back(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, account: Callable[..., None]
) -> None:
    allowed = "authorization { users = [ {user: relay, password: p}, {user: root, password: p} ] }"
    denied = (
        "authorization { users = [ {user: relay, password: p,"
        ' permissions: {publish: {deny: "events.acme.>"}}}, {user: root, password: p} ] }'
    )
    nats_server.reload(allowed)
    root = nats_server.url.replace("nats://", "nats://root:p@")
    relay = relay_process(OUTBOX_NATS_USER="relay", OUTBOX_NATS_PASSWORD="p", **QUICK)  # noqa: S106
    with outbox_table(database) as table:
        fill(table.conn, 20)
        table.wait_until_settled()
        nats_server.reload(denied)
        log = nats_server.log_path
        wait_for(lambda: log.read_text().count("Reloaded server configuration") == 2, 15, "it to be read")
        fill(table.conn, 20)
        fill(table.conn, 20, tenant="other")
        resting = relay.wait_for_record("route.resting")
        assert (resting["route"], resting["reason"]) == ("acme.stock.moved", "publish is not permitted")
        wait_for_stored(root, 40)
        began = time.monotonic()
        nats_server.reload(allowed)
        table.wait_until_settled()
        account(lost=0, failed=0, recover_s=round(time.monotonic() - began, 1))
        assert not any(row.attempts for row in table.rows())
    assert stored(root) == 60
