"""`outbox-notify replay` as its users run it, against servers as they are."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.audit import acts
from tests.support.command import ENDED_BY_CTRL_C, run
from tests.support.outbox import fill
from tests.support.replays import assert_each_once_in_order, begin
from tests.support.stream import connected, read_stream, stored, wait_for_stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

EVENTS = 600


@pytest.fixture
def settings(database: str, nats_server: EmbeddedNats, conn: psycopg.Connection) -> dict[str, Any]:
    """Servers where all of `EVENTS` are published, just now."""
    settings: dict[str, Any] = {
        "OUTBOX_DATABASE_URL": database,
        "OUTBOX_NATS_URL": nats_server.url,
        "OUTBOX_HTTP": "off",
    }
    fill(conn, EVENTS)
    assert run("relay", "--drain", **settings).returncode == 0
    return settings


@pytest.fixture
def replay(settings: dict[str, Any]) -> Callable[..., CompletedProcess[str]]:
    return lambda *arguments: run("replay", *arguments, **settings)


def the_id(text: str) -> str:
    """Return the id that the command tells of its replay."""
    found = re.search(r"go on with: outbox-notify replay --resume (\w+)", text)
    assert found is not None, text
    return found[1]


def test_replay_of_all_doubles_the_stream_inside_the_duplicate_window_and_says_so(
    replay: Callable[..., CompletedProcess[str]], nats_server: EmbeddedNats, conn: psycopg.Connection
) -> None:
    assert stored(nats_server.url) == EVENTS
    done = replay("--all", "--yes")
    assert (done.returncode, done.stdout) == (
        0,
        f"replayed {EVENTS} events under new message ids: as many more messages in the stream\n",
    )
    assert stored(nats_server.url) == 2 * EVENTS
    assert_each_once_in_order(nats_server.url, the_id(done.stderr), conn)
    [act] = acts(conn)
    assert (act["act"], act["events"]) == ("replay", EVENTS)
    assert act["arguments"] == {
        "everything": True, "replay": the_id(done.stderr), "prefix": "events",
    }  # fmt: skip


def test_nothing_is_sent_before_somebody_agrees(
    replay: Callable[..., CompletedProcess[str]], nats_server: EmbeddedNats, conn: psycopg.Connection
) -> None:
    assert replay("--all", "--dry-run").stdout == (
        f"would replay {EVENTS} events under events.> and new message ids\n"
    )
    assert replay("--all").returncode == 1
    assert replay("--tenant", "nobody", "--yes").stderr == "no published event is meant by that\n"
    for arguments in ([], ["1", "--all"], ["--resume", "x", "--all"], ["--from", "noon", "--all"]):
        assert replay("--yes", *arguments).returncode == 2, arguments
    assert replay("--yes", "--to-prefix", "no good", "--all").returncode == 78
    assert (stored(nats_server.url), acts(conn)) == (EVENTS, [])


def test_events_are_named_and_sent_under_another_prefix(
    replay: Callable[..., CompletedProcess[str]], nats_server: EmbeddedNats, conn: psycopg.Connection
) -> None:
    [(first,), (second,)] = conn.execute("SELECT event_id::text FROM event_outbox ORDER BY id LIMIT 2")
    assert replay("1", second, "--yes", "--to-prefix", "events.replayed").returncode == 0
    again = read_stream(nats_server.url)[EVENTS:]
    assert [message.event_id.partition(";")[0] for message in again] == [first, second]
    assert {message.subject for message in again} == {"events.replayed.acme.stock.moved"}
    missing = replay("1", "9999", "--yes")
    assert (missing.returncode, missing.stderr) == (1, "outbox-notify: there is no event 9999\n")


def test_killed_half_way_and_resumed_it_has_sent_each_event_once(
    settings: dict[str, Any],
    command_process: Starter,
    nats_server: EmbeddedNats,
    conn: psycopg.Connection,
) -> None:
    sending = command_process("replay", "--all", "--yes", "--rate", "400", **settings)
    wait_for_stored(nats_server.url, EVENTS + 200)
    sending.kill()
    replay_id = the_id(sending.text)
    assert stored(nats_server.url) < 2 * EVENTS
    done = run("replay", "--resume", replay_id, **settings)
    assert (done.returncode, done.stdout) == (
        0,
        f"replayed {EVENTS} events under new message ids: as many more messages in the stream\n",
    )
    assert stored(nats_server.url) == 2 * EVENTS
    assert_each_once_in_order(nats_server.url, replay_id, conn)
    assert [(act["act"], act["events"]) for act in acts(conn)] == [("replay", EVENTS)]
    again = run("replay", "--resume", replay_id, **settings)
    assert (again.returncode, "is finished" in again.stderr) == (1, True)


def test_interrupted_it_says_how_to_go_on_and_keeps_to_the_rate(
    settings: dict[str, Any],
    command_process: Starter,
    nats_server: EmbeddedNats,
    conn: psycopg.Connection,
) -> None:
    sending = command_process("replay", "--all", "--yes", "--rate", "20", **settings)
    wait_for_stored(nats_server.url, EVENTS + 10)
    sending.send(signal.SIGINT)
    assert sending.wait(10) in ENDED_BY_CTRL_C
    assert "Traceback" not in sending.text
    assert re.search(r"stopped after \d+ events of 600; go on with", sending.text)
    # At 20 a second: whatever it took to get there, far from all.
    assert stored(nats_server.url) < EVENTS + EVENTS // 2
    assert run("replay", "--resume", the_id(sending.text), **settings).returncode == 0
    assert_each_once_in_order(nats_server.url, the_id(sending.text), conn)


@pytest.mark.anyio
async def test_stream_that_held_a_message_already_makes_it_fail(
    settings: dict[str, Any], conn: psycopg.Connection, nats_server: EmbeddedNats
) -> None:
    begun = begin(conn)
    [(event_id,)] = conn.execute("SELECT event_id::text FROM event_outbox WHERE id = 5")
    async with connected(nats_server.url) as client:
        taken = {"Nats-Msg-Id": f"{event_id};r={begun.id}"}
        await client.jetstream().publish("events.acme.stock.moved", b"", headers=taken)
    done = run("replay", "--resume", begun.id, **settings)
    assert done.returncode == 1
    assert "1 acks said that the stream held the message already" in done.stderr


def test_events_that_were_pruned_meanwhile_are_told(
    settings: dict[str, Any], conn: psycopg.Connection
) -> None:
    begun = begin(conn)
    conn.execute("DELETE FROM event_outbox WHERE id <= 7")
    done = run("replay", "--resume", begun.id, **settings)
    assert done.returncode == 0
    assert done.stdout.startswith(f"replayed {EVENTS - 7} events")
    assert "7 events had been deleted before their turn came" in done.stderr
