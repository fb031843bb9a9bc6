"""One attempt to handle a message, and what becomes of the message then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from outbox_notify.consumer.message import Message, Reject
from outbox_notify.consumer.outcomes import Done, Failed, Outcome, Patience, Rejected
from outbox_notify.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = get_logger()


@dataclass(frozen=True)
class Attempts:
    """Runs the handler.

    Args:
        handler: its return means that the effect is committed.
        on_rejected: hears of each message that is not tried again, and why, before JetStream does.
        patience: how failures are taken.
        timeout: seconds that the handler may take; None for no limit.
    """

    handler: Callable[[Message], Awaitable[None]]
    on_rejected: Callable[[Message, str], Awaitable[None]] | None
    patience: Patience
    timeout: float | None

    async def attempt(self, message: Message) -> Outcome:
        """Return what became of it; only cancellation gets through."""
        try:
            message.event_id  # noqa: B018  # refuses what is none of ours before the handler sees it
            with anyio.fail_after(self.timeout):
                await self.handler(message)
        except Reject as refusal:
            return await self._reject(message, Rejected(str(refusal)))
        except Exception as error:  # noqa: BLE001  # a handler may raise what it likes
            outcome = self.patience.judge(error, message.deliveries)
            if isinstance(outcome, Rejected):
                return await self._reject(message, outcome)
            return _failed(message, outcome)
        return Done()

    async def _reject(self, message: Message, outcome: Rejected) -> Outcome:
        try:
            if self.on_rejected is not None:
                await self.on_rejected(message, outcome.reason)
        except Exception as error:  # noqa: BLE001  # as above; nobody has heard of it, so it must come again
            return _failed(message, self.patience.again(error, message.deliveries))
        _log.error("consumer.rejected", **_about(message), reason=outcome.reason)
        return outcome


def _failed(message: Message, outcome: Failed) -> Failed:
    _log.warning(
        "consumer.retry",
        **_about(message),
        deliveries=message.deliveries,
        error=outcome.error,
        where=outcome.where,
        delay=outcome.delay,
    )
    return outcome


def _about(message: Message) -> dict[str, object]:
    names = {"event_id": "ce-id", "tenant_id": "ce-tenantid", "event_type": "ce-type"}
    return {
        "sequence": message.sequence,
        **{field: message.headers.get(name) for field, name in names.items()},
    }
