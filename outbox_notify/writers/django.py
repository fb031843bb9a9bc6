"""`emit` on Django's connections, inside `transaction.atomic`; Django's errors pass through unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import TransactionManagementError

from outbox_notify.events import Event
from outbox_notify.statements import with_plain_marks
from outbox_notify.writers.connections import wrong_connection
from outbox_notify.writers.statements import NEEDS_TRANSACTION, writing

if TYPE_CHECKING:
    from uuid import UUID


def emit(
    *events: Event, using: str = DEFAULT_DB_ALIAS, serialize: bool = False, schema: str = "public"
) -> list[UUID]:
    """Write events in the transaction of one of Django's databases; return their ids, in the order of the arguments.

    All that is said of `outbox_notify.emit` holds. Outside `transaction.atomic` Django commits each statement: the
    events are then a transaction of their own.

    Args:
        events: written by one statement.
        using: the database, as for `transaction.atomic`.
        serialize: let other writers of the same aggregates wait until this transaction ends.
        schema: where the outbox is.

    Raises:
        TypeError: not an `Event`, or not a database of PostgreSQL.
        django.db.transaction.TransactionManagementError: `serialize` without a transaction that could hold the locks.
        django.db.Error: whatever PostgreSQL refuses; the transaction is then aborted.
    """
    if events and not isinstance(events[0], Event):
        raise wrong_connection(
            "outbox_notify.writers.django.emit", "events, and `using=` for the database", events[0]
        )
    connection = connections[using]
    if connection.vendor != "postgresql":
        raise TypeError(f"the outbox is a table of PostgreSQL, not of {connection.vendor}")
    if not events:
        return []
    event_ids, statements = writing(events, serialize=serialize)
    if serialize and connection.get_autocommit():
        raise TransactionManagementError(NEEDS_TRANSACTION)
    with connection.cursor() as cursor:
        for name, parameters in statements:
            cursor.execute(with_plain_marks(name, schema), parameters)
    return event_ids
