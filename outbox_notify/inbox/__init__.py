"""The consumer's side of "at least once": an event that arrives again is handled once.

The id of each event is written in the transaction that holds its effect, so that both are there or neither:

    from outbox_notify.inbox import first_time

    with connection.transaction():
        if first_time(connection, "stock", message.event_id):
            connection.execute("UPDATE stock SET ...")

The table `event_inbox` is in the consumer's own database, which knows nothing of the outbox.
"""

from outbox_notify.inbox.pruning import prune, prune_async
from outbox_notify.inbox.psycopg import first_time, first_time_async
from outbox_notify.inbox.table import create_table, create_table_async, table_sql

__all__ = [
    "create_table",
    "create_table_async",
    "first_time",
    "first_time_async",
    "prune",
    "prune_async",
    "table_sql",
]
