"""Running the relay on what a test has committed."""

from __future__ import annotations

import gc
from typing import Any

from outbox_notify.config.settings import Settings
from outbox_notify.errors import OutboxError
from outbox_notify.service import run_relay
from outbox_notify.testing.apart import run_apart
from outbox_notify.testing.stream import StreamMessage, last_sequence, stream_messages

_PATIENCE = 10.0


def drain(database_url: str, nats_url: str, **settings: Any) -> list[StreamMessage]:
    """Publish what is due, as `outbox-notify relay --drain` does, and return what has come into the stream.

    It sees what is committed. An event whose time has not come stays where it is, and so does one that is `failed`:
    the log of the relay, which goes to the logger `outbox_notify`, says why.

    Args:
        database_url: of a migrated database.
        nats_url: of a nats-server; the stream is made when there is none.
        settings: of the relay by their names, durations in seconds: `schema="shop"`, `on_failed="block"`.

    Raises:
        OutboxError: what the command would say; `Unreachable` after `shutdown_timeout` (10 s) without progress.
    """
    values = {"shutdown_timeout": _PATIENCE, **settings, "database_url": database_url, "nats_url": nats_url}
    outcome = run_apart(_drain, Settings(**values))
    if isinstance(outcome, BaseException):
        # A connection that was being made would stay open, and who drops the database wait until its login times out.
        gc.collect()
        raise outcome
    return outcome


async def _drain(settings: Settings) -> list[StreamMessage] | BaseException:
    """Return the messages, or what went wrong, without the frames that hold what the relay had."""
    before = await last_sequence(settings.nats_url, settings.stream, settings.shutdown_timeout)
    try:
        await run_relay(settings, drain=True)
    except BaseExceptionGroup as group:
        return _first(group).with_traceback(None)
    messages = await stream_messages(settings.nats_url, settings.stream)
    return [message for message in messages if message.sequence > before]


def _first(error: BaseException) -> BaseException:
    """Return the error of ours in a group, or else the first."""
    while isinstance(error, BaseExceptionGroup):
        found = error.subgroup(OutboxError) or error
        error = found.exceptions[0]
    return error
