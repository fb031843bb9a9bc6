"""`python -m examples.inventory.consumer`: rebuilds the stock from events alone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from examples.inventory import projection
from examples.inventory.documents import InvalidMovement, read_movement
from examples.inventory.starting import prepared
from examples.inventory.transactions import make_pool
from outbox_notify.consumer import Message, Reject, consume
from outbox_notify.inbox import first_time_async

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from outbox_notify.config.load import Settings

NAME = "inventory-projection"


def main() -> None:
    """Consume until SIGTERM or SIGINT; what is in hand then is finished. NATS may come later than this."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    anyio.run(_run, prepared())


async def _run(settings: Settings) -> None:
    async with make_pool(settings.require_database_url()) as pool:
        handler = Projector(pool).handle
        await consume(settings.nats_url, settings.stream, NAME, handler, settings=settings)


class Projector:
    """Carries events over into the projection.

    Args:
        pool: of the database that holds the projection and the inbox.
    """

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle(self, message: Message) -> None:
        """Apply an event, unless that was done before; the message is acked after the commit.

        `ce-id` stays the same when an event comes again, after a crash or by a replay. It is noted in the
        transaction that holds the effect, so both are there or neither.
        """
        sign = projection.SIGNS.get(message.type)
        if sign is None:
            return
        try:
            movement = read_movement(message.json())
        except InvalidMovement as error:
            raise Reject(str(error)) from None
        async with self._pool.connection() as connection:
            if await first_time_async(connection, NAME, message.event_id):
                await projection.apply(connection, message.tenant_id, movement, sign)


if __name__ == "__main__":
    main()
