"""What to say to who gives `emit` something else than a connection that it takes. No driver."""

from __future__ import annotations

_SERVED_BY = {
    "psycopg": "outbox_notify.{}",
    "asyncpg": "outbox_notify.writers.asyncpg.emit",
    "sqlalchemy": "outbox_notify.writers.sqlalchemy.{}",
    "django": "outbox_notify.writers.django.emit",
}


def wrong_connection(function: str, accepted: str, given: object) -> TypeError:
    """Return an error that names what the function takes, and the one that takes what was given.

    Args:
        function: its name in full.
        accepted: the library and its classes, in words.
        given: what it got.
    """
    kind = type(given)
    text = f"{function} takes {accepted}, not {kind.__module__}.{kind.__qualname__}"
    right = _function_for(kind)
    return TypeError(text if right in {None, function} else f"{text}; for that there is {right}")


def _function_for(kind: type) -> str | None:
    """Return the function that serves a class or one that it is derived from, by name: no driver is imported."""
    for base in kind.__mro__:
        served_by = _SERVED_BY.get(base.__module__.partition(".")[0])
        if served_by is not None:
            return served_by.format("emit_async" if base.__name__.lower().startswith("async") else "emit")
    return None
