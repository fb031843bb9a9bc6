"""What NATS tells an operator: which server answers, and how full the streams are that take our subjects."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio

from outbox_notify.errors import NatsUnreachable, NotPermitted, OutboxError
from outbox_notify.jetstream.client import close_nats, connect_nats
from outbox_notify.jetstream.session import understood

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nats.aio.client import Client

    from outbox_notify.config.settings import Settings

_NAME = "outbox-notify-status"
_NANOSECONDS = 1e9


@dataclass(frozen=True)
class Stream:
    """One stream that takes our subjects; a limit that is not set is None.

    Args:
        duplicate_window_seconds: for how long it knows a message id.
    """

    name: str
    messages: int
    bytes: int
    max_messages: int | None
    max_bytes: int | None
    max_age_seconds: float | None
    duplicate_window_seconds: float
    replicas: int


@dataclass(frozen=True)
class NatsFacts:
    """What NATS tells: the version of the server that answered, and the streams."""

    server_version: str
    streams: Sequence[Stream]


def read_nats(settings: Settings, *, subject: str = ">", within: float = 2.0) -> NatsFacts:
    """Ask NATS for its facts.

    Args:
        settings: servers, credentials and prefix.
        subject: what the streams are to take, without the prefix; by default any of our subjects.
        within: seconds that it may take.

    Raises:
        OutboxError: it cannot be reached in that time, refuses, or the settings cannot be used.
    """
    return anyio.run(_read, replace(settings, relay_id=_NAME), f"{settings.subject_prefix}.{subject}", within)


async def _read(settings: Settings, subject: str, within: float) -> NatsFacts:
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error).removeprefix("nats: "))

    async def closed() -> None:
        """Take no notice: the question that is under way will."""

    with anyio.move_on_after(within):
        client = await connect_nats(settings, complain, closed)
        try:
            with understood("JetStream does not answer", within):
                streams = [stream async for stream in _streams(client, subject, within)]
            version = client.connected_server_version
            return NatsFacts(f"{version.major}.{version.minor}.{version.patch}", streams)
        except OutboxError as error:
            raise _refusal(complaints) or error from None
        finally:
            await close_nats(client)
    raise _refusal(complaints) or NatsUnreachable(f"no answer within {within:g} s")


async def _streams(client: Client, subject: str, within: float) -> AsyncIterator[Stream]:
    answer = await _ask(client, "STREAM.NAMES", {"subject": subject}, within)
    for name in answer.get("streams") or []:
        about = await _ask(client, f"STREAM.INFO.{name}", {}, within)
        config, state = about["config"], about["state"]
        yield Stream(
            name=name,
            messages=state["messages"],
            bytes=state["bytes"],
            max_messages=_limit(config.get("max_msgs")),
            max_bytes=_limit(config.get("max_bytes")),
            max_age_seconds=_limit(config.get("max_age", 0) / _NANOSECONDS),
            duplicate_window_seconds=config.get("duplicate_window", 0) / _NANOSECONDS,
            replicas=config.get("num_replicas", 1),
        )


async def _ask(client: Client, what: str, request: dict[str, Any], within: float) -> dict[str, Any]:
    message = await client.request(f"$JS.API.{what}", json.dumps(request).encode(), timeout=within)
    answer: dict[str, Any] = json.loads(message.data)
    if error := answer.get("error"):
        raise NatsUnreachable(f"JetStream refused: {error.get('description', 'without a reason')}")
    return answer


def _limit(value: float | None) -> Any:
    return value if value and value > 0 else None


def _refusal(complaints: list[str]) -> NotPermitted | None:
    refused = [text for text in complaints if "permissions violation" in text.lower()]
    return NotPermitted(f"this user may not ask: {refused[0]}") if refused else None
