"""Batches of fast ingest with a real nats-server: each event has its own outcome, whatever becomes of the batch."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.to_thread import run_sync

from outbox_notify.embedded import EmbeddedNats
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested
from tests.support.publishing import publishing, ticket
from tests.support.stream import connected, create_stream, jetstream_api, listen, read_stream, update_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.msg import Msg

    from outbox_notify.jetstream.fast_ingest import FastIngest
    from outbox_notify.relay.batches import Ticket
    from tests.support.publishing import Desk

pytestmark = pytest.mark.anyio

# What became of an event that was stored as part of a batch.
STORED = Published("OUTBOX")
EVENTS = 60
LOGIN = {"nats_user": "relay", "nats_password": "one-two"}
PERMISSIONS = """
authorization { users = [{ user: relay, password: "one-two", permissions: {
    publish: { allow: ["events.>", "$JS.API.>"], deny: ["%s"] }, subscribe: { allow: ["_INBOX.>"] }
} }, { user: tests, password: tests }] }
"""


def ingest(desk: Desk) -> FastIngest:
    sending = desk.publisher._sending
    assert sending is not None
    return sending._ingest


@asynccontextmanager
async def desk_at(url: str, **settings: Any) -> AsyncIterator[Desk]:
    """Run a publisher that knows that its stream takes batches."""
    async with publishing(url, **settings) as desk:
        await desk.ready()
        await desk.until(lambda: ingest(desk).usable, "the answer that the stream takes batches")
        yield desk


async def create(url: str, *subjects: str, **config: Any) -> None:
    subjects = subjects or ("events.>",)
    await run_sync(lambda: create_stream(url, *subjects, **{"allow_batched": True, **config}))


async def stored(url: str) -> list[str]:
    return [message.event_id for message in await run_sync(read_stream, url)]


def ids(tickets: list[Ticket]) -> list[str]:
    return [one.event.event_id for one in tickets]


def some(count: int = EVENTS, **columns: Any) -> list[Ticket]:
    return [ticket(**columns) for _ in range(count)]


async def test_events_of_a_batch_are_stored_in_their_order(nats_server: EmbeddedNats) -> None:
    async with desk_at(nats_server.url) as desk:
        sent = some(2000)
        assert set(await desk.publish(*sent)) == {STORED}
    assert await stored(nats_server.url) == ids(sent)


# Configuration of a stream, the event that it refuses, and what becomes of that.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], Outcome]] = {
    "too large": (
        {"max_msg_size": 2000},
        {"body": b"x" * 3000},
        Failed("message size exceeds maximum allowed (10054)", counted=True),
    ),
    "no room for it": (
        {"max_bytes": 100_000, "discard": "new"},
        {"body": b"x" * 200_000},
        Rested("acme.stock.moved", "maximum bytes exceeded (10077)"),
    ),
    "subject that is full": (
        {"max_msgs_per_subject": EVENTS, "discard": "new", "discard_new_per_subject": True},
        {"event_type": "full"},
        Rested("acme.full", "maximum messages per subject exceeded (10077)"),
    ),
    "no stream": (
        {"subjects": ["events.acme.stock.moved"]},
        {"event_type": "nowhere"},
        Rested("acme.nowhere", "no stream takes the subject, or JetStream has no leader (503)"),
    ),
}


@pytest.mark.parametrize("place", [0, EVENTS // 2, EVENTS - 1])
@pytest.mark.parametrize(("config", "columns", "outcome"), REFUSED.values(), ids=list(REFUSED))
async def test_refused_one_takes_nobody_along(
    nats_server: EmbeddedNats, config: dict[str, Any], columns: dict[str, Any], outcome: Outcome, place: int
) -> None:
    url = nats_server.url
    subjects = config.get("subjects", ["events.>"])
    await create(url, *subjects, **{name: value for name, value in config.items() if name != "subjects"})
    async with desk_at(url) as desk:
        before = []
        if columns.get("event_type") == "full":
            before = some(event_type="full")
            assert set(await desk.publish(*before)) == {STORED}
        sent, began = some(), time.monotonic()
        sent[place] = ticket(**columns)
        outcomes = await desk.publish(*sent)
        took = time.monotonic() - began
        assert outcomes.pop(place) == outcome
        assert {type(one) for one in outcomes} == {Published}
        assert desk.publisher.ready
    assert await stored(url) == ids(before) + ids(sent[:place] + sent[place + 1 :])
    # Nobody waited for an answer that does not come: that would be three seconds.
    assert took < 2.5


@pytest.mark.parametrize("place", [0, EVENTS // 2, EVENTS - 1])
async def test_one_that_may_not_be_published_takes_nobody_along(place: int) -> None:
    with EmbeddedNats(config=PERMISSIONS % "events.acme.Not.allowed") as server:
        async with desk_at(server.url, **LOGIN) as desk:
            sent, began = some(), time.monotonic()
            sent[place] = ticket("Not.allowed")
            outcomes = await desk.publish(*sent)
            assert time.monotonic() - began < 2.5
            assert outcomes.pop(place) == Rested("acme.Not.allowed", "publish is not permitted")
            assert {type(one) for one in outcomes} == {Published}
        assert await stored(f"nats://tests:tests@{server.url.removeprefix('nats://')}") == ids(
            sent[:place] + sent[place + 1 :]
        )


async def test_stream_that_is_full_in_the_middle_holds_the_first(nats_server: EmbeddedNats) -> None:
    await create(nats_server.url, max_msgs=25, discard="new")
    async with desk_at(nats_server.url) as desk:
        sent = some()
        outcomes = await desk.publish(*sent)
        assert outcomes[:25] == [STORED] * 25
        assert set(outcomes[25:]) == {Rested("acme.stock.moved", "maximum messages exceeded (10077)")}
    assert await stored(nats_server.url) == ids(sent[:25])


async def test_without_the_right_to_ask_events_go_one_by_one() -> None:
    with EmbeddedNats(config=PERMISSIONS % "$JS.API.STREAM.INFO.OUTBOX") as server:
        async with publishing(server.url, **LOGIN) as desk:
            await desk.ready()
            await desk.publish(ticket())
            outcomes = await desk.publish(*some())
            assert outcomes == [Published("OUTBOX", 2 + place) for place in range(EVENTS)]


async def test_known_events_in_a_batch_are_published_and_not_stored_again(nats_server: EmbeddedNats) -> None:
    async with desk_at(nats_server.url) as desk:
        known = some()
        await desk.publish(*known)
        again = [ticket(event_id=event_id) for event_id in ids(known)]
        # A last ack that has no sequence is not believed: one by one each is told as known.
        outcomes = await desk.publish(*again)
        assert outcomes == [Published("OUTBOX", 1 + place, duplicate=True) for place in range(EVENTS)]
        await desk.until(lambda: ingest(desk).usable, "the next batch")
        mixed = [one for pair in zip(some(), known, strict=True) for one in pair]
        mixed = [ticket(event_id=event_id) for event_id in ids(mixed)]
        assert set(await desk.publish(*mixed)) == {STORED}
    assert await stored(nats_server.url) == ids(known) + ids(mixed)[::2]


async def test_stream_that_takes_no_batches_any_more_is_sent_one_by_one(nats_server: EmbeddedNats) -> None:
    await create(nats_server.url)
    async with desk_at(nats_server.url) as desk:
        assert set(await desk.publish(*some())) == {STORED}
        await run_sync(lambda: update_stream(nats_server.url, allow_batched=False))
        outcomes = await desk.publish(*some())
        assert outcomes == [Published("OUTBOX", EVENTS + 1 + place) for place in range(EVENTS)]


async def test_stream_that_is_sealed_rests_and_one_that_is_gone_rests(nats_server: EmbeddedNats) -> None:
    url = nats_server.url
    await create(url)
    async with desk_at(url) as desk:
        await run_sync(lambda: update_stream(url, sealed=True))
        sealed = Rested("acme.stock.moved", "invalid operation on sealed stream (10109)")
        assert set(await desk.publish(*some())) == {sealed}
        await run_sync(jetstream_api, url, "STREAM.DELETE.OUTBOX")
        gone = Rested("acme.stock.moved", "no stream takes the subject, or JetStream has no leader (503)")
        assert set(await desk.publish(*some())) == {gone}
        await create(url)
        sent = some()
        assert {type(one) for one in await desk.publish(*sent)} == {Published}
    assert await stored(url) == ids(sent)


async def test_subject_that_moved_to_another_stream_is_stored_there_once(nats_server: EmbeddedNats) -> None:
    url = nats_server.url
    await create(url, "events.acme.stock.moved", "events.acme.other")
    async with desk_at(url) as desk:
        await run_sync(lambda: update_stream(url, subjects=["events.acme.stock.moved"]))
        await create(url, "events.acme.other", name="OTHER")
        sent = some()
        sent[30] = ticket("other")
        outcomes = await desk.publish(*sent)
        assert isinstance(outcomes.pop(30), Rested)
        assert {type(one) for one in outcomes} == {Published}
        await desk.until(lambda: desk.streams == {"OUTBOX", "OTHER"}, "the other stream")
        outcomes = await desk.publish(ticket("other", event_id=sent[30].event.event_id))
        assert outcomes == [Published("OTHER", 1, duplicate=True)]
    assert await stored(url) == ids(sent[:30] + sent[31:])


@pytest.mark.parametrize(
    "says", [b"noise", b'{"stream": "OTHER", "seq": 9, "batch": "%s", "count": 60}', b'{"error": {}}']
)
async def test_stranger_who_answers_for_a_batch_is_not_believed(
    nats_server: EmbeddedNats, says: bytes
) -> None:
    heard: list[str] = []

    async def answer(msg: Msg) -> None:
        if msg.reply.endswith("$FI"):
            heard.append(msg.reply)
            await msg.respond(says.replace(b"%s", msg.reply.split(".")[2].encode()))

    await create(nats_server.url)
    # Their server answers before JetStream's does.
    async with connected(nats_server.url) as stranger, desk_at(nats_server.url) as desk:
        await listen(stranger, "events.>", answer)
        sent = some()
        outcomes = await desk.publish(*sent)
        assert {(type(one), getattr(one, "stream", "")) for one in outcomes} == {(Published, "OUTBOX")}
        assert desk.publisher.ready
    assert heard
    assert await stored(nats_server.url) == ids(sent)


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_batch_whose_server_is_gone_is_released_and_comes_again_in_order(
    nats_server: EmbeddedNats, how: str
) -> None:
    url = nats_server.url
    await create(url, duplicate_window=600 * 10**9)
    async with desk_at(url) as desk:
        nats_server.freeze()
        sent, began = some(800), time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.publisher.send, sent)
            await desk.until(lambda: bool(ingest(desk).under_way), "a batch on the wire")
            if how == "kill":
                await run_sync(nats_server.kill)
            else:
                desk.publisher.give_up(sent, began)
        await desk.until(lambda: len(desk.outcomes) == len(sent), "outcomes")
        assert {type(one) for each in desk.outcomes.values() for one in each} == {Released}
        nats_server.start() if how == "kill" else nats_server.thaw()
        await desk.until(lambda: [name for name, _ in desk.reports].count("outage.ended") == 1, "the next")
        again = [ticket(event_id=event_id, tried=True) for event_id in ids(sent)]
        assert {type(one) for one in await desk.publish(*again)} == {Published}
    assert await stored(url) == ids(sent)
