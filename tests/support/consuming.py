"""Messages as the relay publishes them, a consumer in this process, and what JetStream says of its durable."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio

from outbox_notify.consumer import consume
from tests.support.stream import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from outbox_notify.consumer import Message

STREAM, DURABLE = "OUTBOX", "stock"
_TIMEOUT = 60


def headers_of(n: int, aggregate: str | None = "bin-1") -> dict[str, str]:
    """Return the headers of an event about an aggregate, encoded already."""
    about = {} if aggregate is None else {"ce-subject": aggregate, "ce-partitionkey": f"bin/{aggregate}"}
    return {
        "Nats-Msg-Id": str(n),
        "ce-specversion": "1.0",
        "ce-id": str(uuid4()),
        "ce-type": "stock.moved",
        "ce-source": "outbox-notify",
        "ce-time": "2026-11-24T01:02:03.456789+00:00",
        "ce-tenantid": "acme",
        "Content-Type": "application/json",
        **about,
    }


async def publish(url: str, *aggregates: str | None, first: int = 1) -> None:
    """Publish an event about each aggregate: body `{"n": 1}`, and so on."""
    for n, aggregate in enumerate(aggregates, first):
        await publish_raw(url, headers_of(n, aggregate), json.dumps({"n": n}).encode())


async def publish_raw(url: str, headers: Mapping[str, str], body: bytes) -> None:
    """Publish any message."""
    async with connected(url) as client:
        await client.jetstream().publish("events.acme.stock.moved", body, headers=dict(headers))


@asynccontextmanager
async def consuming(
    url: str, handler: Callable[[Message], Awaitable[None]], **options: Any
) -> AsyncIterator[anyio.Event]:
    """Consume for the time of the context, or until the event is set."""
    stopping = anyio.Event()

    async def run() -> None:
        await consume(url, STREAM, DURABLE, handler, **{"stopping": stopping, **options})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        yield stopping
        stopping.set()


async def durable_info(url: str, name: str = DURABLE) -> dict[str, Any]:
    """Return what JetStream says of a durable."""
    async with connected(url) as client:
        answer = await client.request(f"$JS.API.CONSUMER.INFO.{STREAM}.{name}", timeout=10)
        info: dict[str, Any] = json.loads(answer.data)
        return info


async def until(fact: Callable[[], bool]) -> None:
    """Return once the fact holds."""
    with anyio.fail_after(_TIMEOUT):
        while not fact():  # noqa: ASYNC110  # nobody who makes it true could tell
            await anyio.sleep(0.005)


async def until_durable(url: str, fact: Callable[[dict[str, Any]], bool], name: str = DURABLE) -> None:
    """Return once there is a durable of which the fact holds."""
    with anyio.fail_after(_TIMEOUT):
        while "config" not in (info := await durable_info(url, name)) or not fact(info):  # noqa: ASYNC110  # nor here
            await anyio.sleep(0.02)


async def until_all_answered(url: str, name: str = DURABLE) -> None:
    """Return once no message waits for an answer, or to be handed out."""
    await until_durable(url, lambda info: not info["num_ack_pending"] and not info["num_pending"], name)
