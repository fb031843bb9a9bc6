"""The stream that takes the events: found, or created when there is none. An existing one is never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from outbox_notify.errors import NatsUnreachable, NotPermitted, OutboxError

if TYPE_CHECKING:
    from nats.aio.client import Client

_API_TIMEOUT = 3.0
_DUPLICATE_WINDOW = 600.0
_OVERLAPS = 10065


async def ensure_stream(client: Client, name: str, prefix: str, *, create: bool = True) -> set[str]:
    """Return the names of the streams that take subjects under a prefix; create one when there is none.

    Args:
        client: a connected client.
        name: what to call a stream that is created: file storage, a duplicate window of 10 minutes, batched
            and atomic publish where the server has them.
        prefix: first tokens of all subjects.
        create: whether to create one.

    Raises:
        NatsUnreachable: JetStream does not answer, is not enabled, or has no leader.
        NotPermitted: the user may not look for streams, or not create one.
    """
    try:
        names = await _covering(client, prefix)
        if create and not names:
            await _create(client, name, prefix)
            names = await _covering(client, prefix)
    except (nats.errors.TimeoutError, nats.js.errors.ServiceUnavailableError) as error:
        raise _unanswered(client, error) from None
    except nats.js.errors.APIError as error:
        raise NotPermitted(f"JetStream refused the stream {name}: {error.description}") from None
    return names


def _unanswered(client: Client, error: Exception) -> OutboxError:
    """Tell a request that the server has dropped, for want of a right, from one that nobody answers."""
    complaint = str(client.last_error or "").removeprefix("nats: ")
    if "permissions violation" in complaint.lower():
        return NotPermitted(f"NATS does not let this user ask JetStream: {complaint}")
    if isinstance(error, nats.js.errors.ServiceUnavailableError):
        # Without a description it is how nats-py tells that nobody listens on JetStream's subjects.
        return NatsUnreachable(
            f"JetStream does not answer: {error.description or 'start nats-server with -js'}"
        )
    return NatsUnreachable(f"JetStream does not answer within {_API_TIMEOUT:g} s")


async def _covering(client: Client, prefix: str) -> set[str]:
    manager = client.jetstream(timeout=_API_TIMEOUT)
    found: set[str] = set()
    while True:
        answer = await manager._api_request(  # noqa: SLF001  # the public call cannot ask by subject
            "$JS.API.STREAM.NAMES",
            f'{{"subject":"{prefix}.>","offset":{len(found)}}}'.encode(),
            timeout=_API_TIMEOUT,
        )
        names = answer.get("streams") or []
        found.update(names)
        if not names or len(found) >= answer.get("total", 0):
            return found


async def _create(client: Client, name: str, prefix: str) -> None:
    batches = _has_batches(client)
    config = StreamConfig(
        name=name,
        subjects=[f"{prefix}.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        duplicate_window=_DUPLICATE_WINDOW,
        allow_direct=True,
        allow_atomic=True if batches >= (2, 12) else None,
        allow_batched=True if batches >= (2, 14) else None,
    )
    try:
        await client.jetstream(timeout=_API_TIMEOUT).add_stream(config)
    except nats.js.errors.APIError as error:
        if error.err_code != _OVERLAPS:
            raise


def _has_batches(client: Client) -> tuple[int, int]:
    version = client.connected_server_version
    return version.major, version.minor
