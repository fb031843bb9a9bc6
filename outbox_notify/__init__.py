"""Transactional outbox for PostgreSQL and NATS JetStream.

A service writes its change and an event in one transaction; the relay publishes what was committed:

    from outbox_notify import Event, emit

    with connection.transaction():
        connection.execute("UPDATE stock SET ...")
        emit(connection, Event("acme", "goods.received", {"sku": "A-1", "quantity": 5}))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbox_notify.errors import InvalidEvent
    from outbox_notify.events import Event
    from outbox_notify.writers.psycopg import emit, emit_async

    __version__: str

__all__ = ["Event", "InvalidEvent", "__version__", "emit", "emit_async"]

# Loaded when first asked for, so that `outbox-notify --help` does not wait for psycopg.
_HOMES = {
    "Event": "events",
    "InvalidEvent": "errors",
    "emit": "writers.psycopg",
    "emit_async": "writers.psycopg",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("outbox-notify")
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
