"""Publishing to a real nats-server: only a checked ack is success, and no event can hurt the connection."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from outbox_notify.embedded import EmbeddedNats
from outbox_notify.errors import ConfigError
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested
from tests.support.proxy import Proxy
from tests.support.publishing import Desk, publishing, ticket
from tests.support.stream import connected, create_stream, listen, read_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nats.aio.msg import Msg

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.batches import Ticket

pytestmark = pytest.mark.anyio

BAD_ACKS = [
    b'{"stream": "OTHER", "seq": 7}',
    b'{"stream": "OUTBOX", "seq": 0, "duplicate": true}',
    b'{"stream": "OUTBOX", "seq": -1}',
    b'{"stream": "OUTBOX", "seq": 1e999}',
    b'{"stream": "OUTBOX", "seq": true}',
    b'{"stream": "OUTBOX", "seq": "one"}',
    b'{"stream": "OUTBOX"}',
    b'{"seq": 7}',
    b"{}",
    b"[]",
    b"null",
    b"",
    b"+OK",
    b"\xff\xfe",
    b'{"error": "no"}',
    b'{"error": {"err_code": "x"}}',
    b"[" * 100_000,
]


@asynccontextmanager
async def answering(url: str, *, holds: bool = False) -> AsyncIterator[list[Msg]]:
    """Stand in for a stream on `events.acme.bad`: each message is answered with its own body, `|` parts answers.

    Yields what has arrived; when it `holds`, the test answers.
    """
    heard: list[Msg] = []

    async def answer(msg: Msg) -> None:
        heard.append(msg)
        for text in [] if holds else msg.data.split(b"|"):
            await msg.respond(text)

    async with connected(url) as client:
        await listen(client, "events.acme.bad", answer)
        yield heard


@asynccontextmanager
async def desk_at(url: str, **settings: Any) -> AsyncIterator[Desk]:
    async with publishing(url, **settings) as desk:
        await desk.ready()
        yield desk


def create_good_stream(server: EmbeddedNats) -> None:
    create_stream(server.url, "events.acme.good")


async def in_thread(call: Any, *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(call, *arguments)


def kinds(outcomes: list[Outcome]) -> set[type[Outcome]]:
    return {type(outcome) for outcome in outcomes}


async def test_ack_of_the_stream_is_success_and_tells_duplicates(nats_server: EmbeddedNats) -> None:
    async with desk_at(nats_server.url) as desk:
        sent = ticket()
        assert await desk.publish(sent) == [Published("OUTBOX", 1)]
        again = ticket(event_id=sent.event.event_id)
        assert await desk.publish(again) == [Published("OUTBOX", 1, duplicate=True)]


async def test_events_arrive_in_the_order_they_were_sent(nats_server: EmbeddedNats) -> None:
    async with desk_at(nats_server.url) as desk:
        sent = [ticket(body=b"%d" % number) for number in range(2000)]
        outcomes = await desk.publish(*sent)
    assert kinds(outcomes) == {Published}
    bodies = [message.body for message in await in_thread(read_stream, nats_server.url)]
    assert bodies == [one.event.body for one in sent]


async def test_t39_no_bad_ack_counts_as_success(nats_server: EmbeddedNats) -> None:
    await in_thread(create_good_stream, nats_server)
    async with desk_at(nats_server.url) as desk, answering(nats_server.url) as heard:
        outcomes = await desk.publish(*[ticket("bad", body=answer, tried=True) for answer in BAD_ACKS])
        assert len(heard) == len(BAD_ACKS)
        assert [(answer[:50], type(outcome)) for answer, outcome in zip(BAD_ACKS, outcomes, strict=True)] == [
            (answer[:50], Rested) for answer in BAD_ACKS
        ]
        assert kinds(await desk.publish(ticket("good"))) == {Published}
        assert not [name for name, _ in desk.reports if name == "outage.started"]


async def test_t39_second_answer_is_not_heard(nats_server: EmbeddedNats) -> None:
    await in_thread(create_good_stream, nats_server)
    async with desk_at(nats_server.url) as desk, answering(nats_server.url):
        sent = ticket("bad", body=b'{}|{"stream": "OUTBOX", "seq": 7}')
        await desk.publish(sent)
        # Answered on the same connections, so after the second answer.
        await desk.publish(ticket("bad", body=b"{}"))
        assert [type(outcome) for outcome in desk.outcomes[sent]] == [Rested]


async def test_event_whose_turn_did_not_come_in_time_does_not_let_its_route_rest(
    nats_server: EmbeddedNats,
) -> None:
    async with desk_at(nats_server.url) as desk:
        unsent, started = ticket("moved"), time.monotonic()
        await desk.publish(ticket("counted"))
        desk.publisher.give_up([unsent], started)
        assert desk.outcomes[unsent] == [Released("its turn to be sent did not come in time")]
        assert desk.publisher.ready


async def test_event_that_was_sent_just_now_does_not_let_its_route_rest(nats_server: EmbeddedNats) -> None:
    await in_thread(create_good_stream, nats_server)
    async with desk_at(nats_server.url) as desk, answering(nats_server.url, holds=True) as heard:
        last = ticket("bad")
        await desk.publish(ticket("good"))
        await desk.publisher.send([last])
        await desk.until(lambda: len(heard) == 1, "the message")
        # The others of its aggregate took nearly all of the time.
        desk.publisher.give_up([last], sent_at=2 * last.sent_at - time.monotonic() - 60)
        assert desk.outcomes[last] == [Released("its turn to be sent came too late for an answer")]
        assert desk.publisher.ready


async def test_t39_late_ack_is_not_heard(nats_server: EmbeddedNats) -> None:
    await in_thread(create_good_stream, nats_server)
    async with desk_at(nats_server.url) as desk, answering(nats_server.url, holds=True) as heard:
        late = ticket("bad")
        await desk.publisher.send([late])
        await desk.publish(ticket("good"))
        await desk.until(lambda: len(heard) == 1, "the message")
        desk.publisher.give_up([late], late.sent_at)
        # Others were answered meanwhile: it is the route that is slow, not the connection that is dead.
        assert desk.outcomes[late] == [Rested("acme.bad", "no answer from JetStream in time")]
        await heard[0].respond(b'{"stream": "OUTBOX", "seq": 7}')
        other = ticket("bad")
        await desk.publisher.send([other])
        await desk.until(lambda: len(heard) == 2, "the message")
        await heard[1].respond(b"{}")
        await desk.until(lambda: other in desk.outcomes, "the answer after the late one")
        assert len(desk.outcomes[late]) == 1
        assert desk.publisher.ready


async def test_event_that_no_stream_takes_rests_its_route(nats_server: EmbeddedNats) -> None:
    await in_thread(create_good_stream, nats_server)
    async with desk_at(nats_server.url) as desk:
        nowhere, good = await desk.publish(ticket("nowhere"), ticket("good"))
    assert isinstance(nowhere, Rested)
    assert (nowhere.route, "503" in nowhere.reason) == ("acme.nowhere", True)
    assert isinstance(good, Published)


async def test_stream_that_is_made_later_is_learnt_without_a_new_connection(
    nats_server: EmbeddedNats,
) -> None:
    await in_thread(create_good_stream, nats_server)
    async with desk_at(nats_server.url) as desk:
        client = desk.client
        await in_thread(lambda: create_stream(nats_server.url, "events.acme.later", name="LATER"))
        assert kinds(await desk.publish(ticket("later"))) == {Rested}
        await desk.until(lambda: "LATER" in desk.streams, "the new stream")
        assert kinds(await desk.publish(ticket("later"))) == {Published}
        assert desk.client is client


async def test_t29_what_the_server_would_hang_up_over_fails_and_the_client_lives_on(
    nats_server: EmbeddedNats,
) -> None:
    async with desk_at(nats_server.url) as desk:
        client = desk.client
        poison = ticket(body=b"x" * (client.max_payload - 10))
        good = [ticket() for _ in range(100)]
        failed, *published = await desk.publish(poison, *good)
        assert isinstance(failed, Failed)
        assert f"the server takes {client.max_payload}" in failed.reason
        assert kinds(published) == {Published}
        assert desk.client is client
        assert not client.is_closed


async def test_message_of_exactly_the_limit_is_taken_by_the_server(nats_server: EmbeddedNats) -> None:
    async with desk_at(nats_server.url) as desk:
        client = desk.client
        head = len(Encoder("events", "outbox-notify").encode(ticket().event, client.max_payload).head)
        fits = ticket(body=b"x" * (client.max_payload - head))
        one_over = ticket(body=b"x" * (client.max_payload - head + 1))
        assert [type(one) for one in await desk.publish(fits, one_over)] == [Published, Failed]
        assert desk.client is client


PERMISSIONS = """
authorization { users = [{ user: relay, password: "%s", permissions: {
    publish: { allow: ["events.>", "$JS.API.>"], deny: [%s] }, subscribe: { allow: ["_INBOX.>"], deny: [%s] }
} }] }
"""
LOGIN = {"nats_user": "relay", "nats_password": "one-two"}


async def test_event_that_may_not_be_published_rests_its_route_with_the_reason() -> None:
    with EmbeddedNats(config=PERMISSIONS % ("one-two", '"events.acme.Not.allowed"', "")) as server:
        async with desk_at(server.url, **LOGIN) as desk:
            denied, good = await desk.publish(ticket("Not.allowed"), ticket("good"))
            assert denied == Rested("acme.Not.allowed", "publish is not permitted")
            assert isinstance(good, Published)
            # A refusal of one event is no reason for what happens to the connection later.
            await in_thread(server.stop)
            await desk.until(lambda: desk.publisher.outage is not None, "the outage")
            assert "ermission" not in str(desk.publisher.outage)


async def test_what_a_killed_server_did_not_answer_is_released_and_a_new_client_takes_over(
    nats_server: EmbeddedNats,
) -> None:
    async with desk_at(nats_server.url) as desk:
        client = desk.client
        nats_server.freeze()
        sent = [ticket() for _ in range(100)]
        await desk.publisher.send(sent)
        await in_thread(nats_server.kill)
        await desk.until(lambda: len(desk.outcomes) == 100, "outcomes", within=2)
        assert {kind for each in desk.outcomes.values() for kind in kinds(each)} == {Released}
        await desk.until(lambda: not desk.publisher.ready, "the outage")
        assert await desk.publish(ticket()) == [Released("not connected to NATS")]
        nats_server.start()
        await desk.ready()
        assert desk.client is not client
        assert kinds(await desk.publish(*[ticket(event_id=one.event.event_id) for one in sent])) == {
            Published
        }


def still_under_way(desk: Desk, tickets: list[Ticket]) -> Iterator[Ticket]:
    """Yield those of some events that have no outcome yet when their turn comes, as a relay does."""
    return (one for one in tickets if one not in desk.outcomes)


async def test_event_whose_lease_runs_out_while_its_message_is_made_is_not_sent(
    nats_server: EmbeddedNats,
) -> None:
    async with desk_at(nats_server.url) as desk:
        first, late, last = ticket(body=b"x"), ticket(body=b"y"), ticket(body=b"z")

        def taken() -> Iterator[Ticket]:
            yield from (first, late)
            # Its frame is made, and not yet written.
            late.batch.expires_at = lease_clock()
            yield last

        await desk.publisher.send(taken())
        await desk.until(lambda: len(desk.outcomes) == 3, "outcomes")
        assert desk.outcomes[late] == [Released("its lease ran out before it was sent")]
        assert kinds(desk.outcomes[first] + desk.outcomes[last]) == {Published}
    stream = await in_thread(read_stream, nats_server.url)
    assert [message.body for message in stream] == [b"x", b"z"]


async def test_t34_frozen_server_holds_nobody_up_and_a_new_client_takes_over(
    nats_server: EmbeddedNats,
) -> None:
    async with desk_at(nats_server.url) as desk:
        client = desk.client
        nats_server.freeze()
        sent, started = [ticket(body=b"x" * 900_000) for _ in range(20)], time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.publisher.send, still_under_way(desk, sent))
            # All that the sockets on the way take.
            await desk.until(lambda: len(desk.waiting) > 3, "frames on the wire")
            await anyio.sleep(0.1)
            assert len(desk.waiting) < 20
            desk.publisher.give_up(sent, started)
            assert {kind for each in desk.outcomes.values() for kind in kinds(each)} == {Released}
            await desk.until(lambda: desk.publisher.outage is not None, "the outage", within=2)
        nats_server.thaw()
        await desk.ready()
        assert desk.client is not client
        assert kinds(await desk.publish(ticket())) == {Published}
        assert all(len(desk.outcomes[one]) == 1 for one in sent)


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_next_server_is_asked_when_one_is_gone(nats_server: EmbeddedNats, how: str) -> None:
    with EmbeddedNats() as second:
        async with publishing(f"{nats_server.url},{second.url}") as desk:
            await desk.ready()
            getattr(nats_server, how)()
            began = time.monotonic()
            if how == "freeze":
                lost = ticket()
                await desk.publisher.send([lost])
                desk.publisher.give_up([lost], time.monotonic())
            await desk.until(
                lambda: [name for name, _ in desk.reports].count("outage.ended") == 1, "the second"
            )
            # Neither the two seconds of nats-py for a server that refuses, nor our five for one that says nothing.
            assert time.monotonic() - began < 1.9
            assert await desk.publish(ticket()) == [Published("OUTBOX", 1, duplicate=False)]


async def test_wrong_password_is_an_outage_that_ends_when_the_server_is_given_the_right_one() -> None:
    with EmbeddedNats(config=PERMISSIONS % ("another", "", "")) as server:
        async with publishing(server.url, **LOGIN) as desk:
            await desk.until(lambda: "uthorization" in str(desk.publisher.outage), "the reason")
            assert "one-two" not in str(desk.publisher.outage)
            server.reload(PERMISSIONS % ("one-two", "", ""))
            await desk.ready()
            assert desk.publisher.outage is None
            assert kinds(await desk.publish(ticket())) == {Published}


async def test_password_that_is_changed_under_way_is_an_outage_and_not_the_end() -> None:
    with EmbeddedNats(config=PERMISSIONS % ("one-two", "", "")) as server:
        async with desk_at(server.url, **LOGIN) as desk:
            server.reload(PERMISSIONS % ("another", "", ""))
            await desk.until(lambda: "uthorization" in str(desk.publisher.outage), "the reason")
            server.reload(PERMISSIONS % ("one-two", "", ""))
            await desk.ready()
            assert kinds(await desk.publish(ticket())) == {Published}


async def test_credentials_that_cannot_be_read_again_are_used_as_they_were() -> None:
    def gone(_settings: object) -> Settings:
        raise ConfigError("OUTBOX_NATS_PASSWORD_FILE: cannot read /run/secret: No such file or directory")

    with EmbeddedNats(config=PERMISSIONS % ("one-two", "", "")) as server:
        async with desk_at(server.url, **LOGIN) as desk:
            desk.publisher._renewed = gone
            await in_thread(server.kill)
            await desk.until(lambda: not desk.publisher.ready, "the outage")
            server.start()
            await desk.ready()
            assert kinds(await desk.publish(ticket())) == {Published}
            kept = [facts["reason"] for name, facts in desk.reports if name == "credentials.kept"]
            assert "cannot read" in str(kept[0])


async def test_old_client_that_tells_late_of_its_end_does_not_end_the_new_one(
    nats_server: EmbeddedNats,
) -> None:
    async with desk_at(nats_server.url) as desk:
        told_late = desk.client._closed_cb
        assert told_late is not None
        await in_thread(nats_server.kill)
        await desk.until(lambda: not desk.publisher.ready, "the outage")
        nats_server.start()
        await desk.ready()
        client = desk.client
        await told_late()
        assert kinds(await desk.publish(ticket())) == {Published}
        assert desk.client is client
        assert not desk.publisher._lost.is_set()


async def test_server_that_hangs_up_each_time_is_not_called_without_a_pause(
    nats_server: EmbeddedNats,
) -> None:
    with Proxy(nats_server.port) as proxy:
        async with desk_at(f"nats://127.0.0.1:{proxy.port}") as desk:
            began = time.monotonic()
            while time.monotonic() - began < 1.5:
                await desk.ready()
                proxy.cut()
                await desk.until(lambda: not desk.publisher.ready, "the outage")
        assert 3 <= proxy.accepted <= 20


async def test_user_who_may_not_hear_acks_is_told_so() -> None:
    with EmbeddedNats(config=PERMISSIONS % ("one-two", "", '"_INBOX.>"')) as server:
        async with publishing(server.url, **LOGIN) as desk:
            await desk.until(lambda: "_inbox" in str(desk.publisher.outage), "the reason")


async def test_nobody_there_is_an_outage_with_a_reason_and_ends_by_itself(nats_server: EmbeddedNats) -> None:
    await in_thread(nats_server.stop)
    async with publishing(nats_server.url) as desk:
        await desk.until(lambda: desk.publisher.outage != "not connected yet", "the reason")
        assert not desk.publisher.ready
        nats_server.start()
        await desk.ready()
        started = [facts for name, facts in desk.reports if name == "outage.started"]
        assert [facts["component"] for facts in started] == ["nats"]
        assert started[0]["reason"]
        assert desk.reports[-1][0] == "outage.ended"
