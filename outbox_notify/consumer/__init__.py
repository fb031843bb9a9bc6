"""A consumer of the events: a durable of JetStream, a handler, and an ack only when the handler has returned.

    from outbox_notify.consumer import Message, Reject, consume

    async def handle(message: Message) -> None:
        async with pool.connection() as connection:
            if await first_time_async(connection, "stock", message.event_id):
                ...

    await consume("nats://127.0.0.1:4222", "OUTBOX", "stock", handle)

Nothing of the relay is needed for it, and it asks nothing of the outbox's database.
"""

from outbox_notify.consumer.consume import consume
from outbox_notify.consumer.message import Message, Reject

__all__ = ["Message", "Reject", "consume"]
