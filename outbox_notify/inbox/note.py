"""What is written down of an event, checked. No I/O."""

from __future__ import annotations

from uuid import UUID

from outbox_notify.errors import InvalidEvent


def note(consumer: str, event_id: UUID | str) -> dict[str, object]:
    """Return the parameters of `inbox_first_time.sql`.

    Raises:
        InvalidEvent: the consumer has no name, or the id is not a UUID.
    """
    if not consumer or "\0" in consumer:
        raise InvalidEvent("consumer", consumer, "must be a name, the same for all processes of the consumer")
    return {"consumer": consumer, "event_id": _uuid(event_id)}


def _uuid(event_id: object) -> UUID:
    if isinstance(event_id, UUID):
        return event_id
    try:
        return UUID(event_id if isinstance(event_id, str) else "")
    except ValueError:
        raise InvalidEvent("event_id", event_id, "must be a UUID, as the header ce-id holds it") from None
