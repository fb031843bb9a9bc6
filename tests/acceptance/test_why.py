"""`outbox-notify why` and the relays of `outbox-notify status`, beside real relays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from outbox_notify import __version__
from outbox_notify.operations.asking import gather
from outbox_notify.operations.evidence import Evidence
from outbox_notify.operations.pause import Target, pause
from outbox_notify.operations.relays import read_relays
from outbox_notify.operations.why import Rules, Why, explain
from tests.support.command import run
from tests.support.events import put, put_failed
from tests.support.front import LOSE, REFUSE, STORE, Answer, standing_before
from tests.support.processes import wait_for
from tests.support.wake import WakeView

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

FULL = Answer(stores=False, error={"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"})
ANSWERS = {"taken": STORE, "refused": REFUSE, "full": FULL, "lost": LOSE}
RULES = Rules(max_attempts=10, sweep_interval=3600, subject_prefix="events")
NO_SWEEP = {"OUTBOX_SWEEP_INTERVAL": "1h", "OUTBOX_RELAY_ID": "relay-1"}


def why(conn: psycopg.Connection, row_id: int) -> Why:
    found = gather(conn, "public", row_id, ordered=True, block=False)
    assert isinstance(found, Evidence)
    return explain(found, RULES)


def wait_for_state(conn: psycopg.Connection, row_id: int, state: str) -> str:
    wait_for(lambda: why(conn, row_id).state == state, 15, f"event {row_id} to be {state}")
    return why(conn, row_id).sentence


def event(conn: psycopg.Connection, event_type: str, item: str) -> int:
    return put(conn, event_type=event_type, aggregate_type="item", aggregate_id=item)


def relay_states(conn: psycopg.Connection) -> dict[str, str]:
    return {relay.relay: relay.state for relay in read_relays(conn, "public")}


def wait_until_asleep(conn: psycopg.Connection) -> None:
    """Return when the relay is armed and has not looked for a while: its last look comes after it is armed."""
    WakeView(conn).wait_until_armed()
    last_look = (
        "SELECT max(query_start) < clock_timestamp() - interval '500 ms' FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'outbox-notify relay % work'"
    )
    wait_for(lambda: conn.execute(last_look).fetchone() == (True,), 15, "the relay to sleep")


def test_every_event_in_the_hands_of_a_relay_is_explained(
    conn: psycopg.Connection, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with standing_before(nats_server.url, lambda subject, _: ANSWERS[subject.rpartition(".")[2]]):
        leases = {"OUTBOX_LEASE": "4s", "OUTBOX_PUBLISH_TIMEOUT": "2500ms"}
        relay = relay_process(**NO_SWEEP, **leases, OUTBOX_RETRY_BASE="1h", OUTBOX_RETRY_MAX="1h")
        assert "after it was written" in wait_for_state(conn, event(conn, "taken", "1"), "published")

        refused = event(conn, "refused", "2")
        said = wait_for_state(conn, refused, "retrying")
        assert "attempt 2 of 10 comes then, after: not today (19999)" in said
        said = wait_for_state(conn, event(conn, "taken", "2"), "behind")
        assert f"waits for event {refused} of its aggregate item/2 (pending, 1 attempt): waits until" in said

        full = event(conn, "full", "3")
        said = wait_for_state(conn, full, "route_rests")
        assert said.startswith("its route acme.full rests")
        assert said.endswith("since: maximum bytes exceeded (10077)")
        said = wait_for_state(conn, event(conn, "taken", "3"), "behind")
        assert (
            f"waits for event {full} of its aggregate item/3 (pending, 0 attempts): its route acme.full"
            in said
        )
        assert "its route acme.full rests" in wait_for_state(conn, event(conn, "full", "4"), "route_rests")

        pause(conn, "public", Target(tenant_id="globex"), reason="stocktaking")
        paused = put(conn, tenant_id="globex", event_type="taken")
        assert wait_for_state(conn, event(conn, "taken", "6"), "published")
        assert why(conn, paused).sentence.startswith("tenant globex is paused by postgres since ")

        lost = event(conn, "lost", "5")
        said = wait_for_state(conn, lost, "leased")
        assert said.startswith("leased by relay relay-1 until ")
        assert said.endswith("it is being published")
        relay.kill()
        wait_for(lambda: "not connected any more" in why(conn, lost).sentence, 5, "the relay to be missed")
        assert "none is connected: start outbox-notify relay" in why(conn, lost).sentence
        assert relay_states(conn) == {"relay-1": "gone"}
        said = wait_for_state(conn, lost, "lease_expired")
        assert said.startswith("its lease of relay relay-1 expired ")


@pytest.mark.slow
def test_relay_without_wake_and_relay_without_nats_are_told_apart(
    conn: psycopg.Connection, database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay = relay_process(**NO_SWEEP)
    wait_until_asleep(conn)
    # It is armed, but nobody notifies it.
    conn.execute("ALTER TABLE event_outbox DISABLE TRIGGER event_outbox_wake_relay")
    unseen = event(conn, "taken", "1")
    said = wait_for_state(conn, unseen, "wake_down")
    assert "the wake path is down, writers do not notify" in said
    assert "next sweep in 60 m at most" in said

    conn.execute("ALTER TABLE event_outbox ENABLE TRIGGER event_outbox_wake_relay")
    nats_server.kill()
    relay.wait_for_record("outage.started")
    event(conn, "taken", "2")
    wait_for(lambda: relay_states(conn) == {"relay-1": "awake"}, 10, "the relay to wait for NATS")
    done = run("why", str(unseen), "--json", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["id"], document["state"]) == (unseen, "due")
    assert "nothing holds it back, it is the next; relays: relay-1 is awake" in document["sentence"]
    assert document["nats"].startswith("cannot be asked from here: ")
    assert (document["event"]["tenant_id"], document["event"]["status"]) == ("acme", "pending")
    relay.kill()

    # A relay that was told to poll, while it waits for NATS.
    relay_process(OUTBOX_WAKE="poll", OUTBOX_RELAY_ID="relay-2")
    wait_for(lambda: relay_states(conn) == {"relay-2": "polling"}, 15, "the relay that polls")
    assert "no relay listens: next sweep in 500 ms" in wait_for_state(conn, unseen, "wake_down")


def test_idle_relays_are_seen_and_who_is_armed(
    conn: psycopg.Connection, database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    first = relay_process(OUTBOX_RELAY_ID="relay-1")
    WakeView(conn).wait_until_armed()
    relay_process(OUTBOX_RELAY_ID="relay-2")
    wait_for(lambda: relay_states(conn) == {"relay-1": "armed", "relay-2": "spare"}, 15, "both to sleep")
    put(conn)
    with psycopg.connect(database, autocommit=True) as other:
        wait_for(lambda: why(other, 1).state == "published", 10, "the event to be published")
    done = run("status", "--json", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    document = json.loads(done.stdout)
    assert {relay["version"] for relay in document["relays"]} == {__version__}
    assert all(relay["listening"] for relay in document["relays"])
    assert document["last_minute"]["published"] == 1
    assert document["nats"]["reachable"]
    (stream,) = document["nats"]["streams"]
    assert (stream["name"], stream["messages"]) == ("OUTBOX", 1)
    text = run("status", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url).stdout
    assert f"relay-1 {__version__}: " in text
    assert "  1 message, " in text
    done = run("why", "1", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    sentence = done.stdout.splitlines()[0]
    assert sentence.startswith("event 1 published at ")
    assert sentence.endswith(", as events.acme.stock.moved; stream OUTBOX takes its subject")
    first.kill()
    wait_for(lambda: relay_states(conn).keys() == {"relay-2"}, 10, "the dead relay to be gone")
    WakeView(conn).wait_until_armed()
    wait_for(lambda: relay_states(conn) == {"relay-2": "armed"}, 10, "the other one to take over")


@pytest.mark.slow
def test_nats_that_cannot_be_reached_is_one_line(
    conn: psycopg.Connection, database: str, nats_server: EmbeddedNats
) -> None:
    nats_server.freeze()
    done = run("status", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    nats_server.thaw()
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("NATS")]
    assert line.endswith("cannot be asked from here: no answer within 2 s")
    assert "is connected: start outbox-notify relay" in done.stdout


def test_event_that_does_not_exist_is_one_line_and_exit_code_1(database: str) -> None:
    for name in ("7", "01a20a61-b81f-7aee-b122-22a5b6e4fe9a"):
        done = run("why", name, OUTBOX_DATABASE_URL=database)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert f"there is no event {name}" in done.stderr


def test_texts_of_others_stay_inside_their_line(conn: psycopg.Connection, database: str) -> None:
    row_id = put_failed(conn, last_error="no\ngood \x1b[31m")
    done = run("why", str(row_id), OUTBOX_DATABASE_URL=database)
    assert r"no\ngood \x1b[31m" in done.stdout.splitlines()[0]
    assert "\x1b" not in done.stdout
