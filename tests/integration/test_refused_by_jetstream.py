"""What a real nats-server refuses, in its own words, and whose fault that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from anyio.to_thread import run_sync

from outbox_notify.embedded import EmbeddedNats
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested
from tests.support.publishing import Desk, publishing, ticket
from tests.support.stream import create_stream, update_stream

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.anyio


def rested(reason: str) -> Outcome:
    return Rested("acme.it", reason)


# Configuration of a stream, and what becomes of the last of three events of 300 bytes.
STREAMS: dict[str, tuple[dict[str, Any], Outcome]] = {
    "full of bytes": (
        {"max_bytes": 1000, "discard": "new"},
        rested("maximum bytes exceeded (10077)"),
    ),
    "full of messages": (
        {"max_msgs": 2, "discard": "new"},
        rested("maximum messages exceeded (10077)"),
    ),
    "full of the subject": (
        {"max_msgs_per_subject": 2, "discard": "new", "discard_new_per_subject": True},
        rested("maximum messages per subject exceeded (10077)"),
    ),
    "of counters": (
        {"allow_msg_counter": True, "allow_direct": True},
        rested("message counter increment is missing (10169)"),
    ),
    "of small messages": (
        {"max_msg_size": 200},
        Failed("message size exceeds maximum allowed (10054)", counted=True),
    ),
}
SERVERS: dict[str, tuple[str, Outcome]] = {
    "server without room": ("jetstream { max_file_store: 1000 }", rested("insufficient resources (10023)")),
    "account without room": (
        "accounts { A { jetstream { max_file: 1000, max_mem: 1000 }, users: [{ user: u, password: p }] } }",
        rested("resource limits exceeded for account (10002)"),
    ),
}


async def last_of_three(desk: Desk) -> Outcome:
    await desk.ready()
    outcomes = [(await desk.publish(ticket("it", body=b"x" * 300)))[0] for _ in range(3)]
    return outcomes[-1]


@pytest.mark.parametrize(("config", "outcome"), STREAMS.values(), ids=list(STREAMS))
async def test_stream_refuses(nats_server: EmbeddedNats, config: dict[str, Any], outcome: Outcome) -> None:
    await run_sync(lambda: create_stream(nats_server.url, "events.acme.it", **config))
    async with publishing(nats_server.url) as desk:
        assert await last_of_three(desk) == outcome
        assert desk.publisher.ready


async def test_sealed_stream_refuses(nats_server: EmbeddedNats) -> None:
    await run_sync(lambda: create_stream(nats_server.url, "events.acme.it"))
    await run_sync(lambda: update_stream(nats_server.url, sealed=True))
    async with publishing(nats_server.url) as desk:
        assert await last_of_three(desk) == rested("invalid operation on sealed stream (10109)")


@pytest.mark.parametrize(("config", "outcome"), SERVERS.values(), ids=list(SERVERS))
async def test_server_refuses(config: str, outcome: Outcome) -> None:
    login = {"nats_user": "u", "nats_password": "p"} if "user:" in config else {}
    with EmbeddedNats(config=config) as server:
        async with publishing(server.url, **login) as desk:
            assert await last_of_three(desk) == outcome


async def test_flood_is_nobodys_fault_and_goes_through_in_the_end() -> None:
    with EmbeddedNats(config="jetstream { max_buffered_msgs: 10 }") as server:
        async with publishing(server.url) as desk:
            await desk.ready()
            left, turned_away = [str(uuid4()) for _ in range(2000)], 0
            while left:
                outcomes = await desk.publish(*[ticket(event_id=event_id) for event_id in left])
                assert set(outcomes) - {Released("too many requests (10167)")} <= {*acks(outcomes)}
                left = [
                    event_id
                    for event_id, outcome in zip(left, outcomes, strict=True)
                    if isinstance(outcome, Released)
                ]
                turned_away += len(left)
            assert turned_away > 0
            assert desk.publisher.ready


async def test_message_that_the_server_takes_and_no_store_can_hold_fails() -> None:
    with EmbeddedNats(config="max_payload: 64MB\nmax_pending: 128MB") as server:
        async with publishing(server.url) as desk:
            await desk.ready()
            assert await desk.publish(ticket(body=b"x" * 33 * 2**20)) == [
                Failed("message too large (10077)", counted=True)
            ]


def acks(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if isinstance(outcome, Published)]
