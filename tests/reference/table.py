"""The page of the table, from the catalog of a migrated database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import scalar_row

from outbox_notify.schema.catalog import Fact, facts

if TYPE_CHECKING:
    import psycopg

NAME = "table.md"

_TABLE = "event_outbox"


class _Column(NamedTuple):
    by: str
    meaning: str


# A column that is not here makes the page fail.
_COLUMNS = {
    "id": _Column("database", "the order of writing"),
    "event_id": _Column(
        "database or writer", "`ce-id` and `Nats-Msg-Id`; a writer's own makes emitting idempotent"
    ),
    "tenant_id": _Column("writer", "who it belongs to; second token of the subject"),
    "event_type": _Column("writer", "what happened; the rest of the subject"),
    "aggregate_type": _Column("writer", "what it is about; this and the next, or neither"),
    "aggregate_id": _Column("writer", "which one"),
    "payload": _Column("writer", "the body as JSON; this or the next"),
    "payload_bytes": _Column("writer", "a body that must stay byte for byte"),
    "content_type": _Column("writer", "what the body is"),
    "headers": _Column("writer", "more headers of the message"),
    "available_at": _Column(
        "writer, relay", "not before: a schedule of the writer, or the wait before a retry"
    ),
    "created_at": _Column("database", "`ce-time`: when the writer's transaction began"),
    "ordering_key": _Column(
        "database", "hash of tenant and aggregate: events with the same one keep their order"
    ),
    "status": _Column("relay, operator", "`pending`, `in_progress`, `published` or `failed`"),
    "attempts": _Column("relay, operator", "publishes that failed and may be this event's fault"),
    "claims": _Column("relay, operator", "times claimed without an outcome; finds events that crash relays"),
    "lease_token": _Column("relay", "under which lease it is; one covers a batch"),
    "lease_until": _Column("relay", "until when; then another relay may take it over"),
    "claimed_by": _Column("relay", "whose: `OUTBOX_RELAY_ID`"),
    "published_at": _Column("relay", "when its ack was written down"),
    "last_error": _Column("relay, operator", "why it came back, or failed"),
}

_HEAD = """\
# The table

`event_outbox`, in the schema that `OUTBOX_SCHEMA` names. A writer needs a tenant, a type and a body; who may set what
is held by [roles](../how-to/roles.md). The rules refuse in the writer's own transaction what could not be published
([how that looks](../how-to/plain-sql.md)).

An event is `pending`, then `in_progress` under a lease, then `published`, or `pending` again (released, or to be
retried), or `failed`, from where an operator may send it back to `pending`.

Written by `make reference`, from a database with all migrations on PostgreSQL 18. `<new id>` is `uuidv7()`, before
PostgreSQL 18 a function of the outbox; `<lock>` is made of the name of the schema.

| column | type | set by | meaning |
| --- | --- | --- | --- |
"""


def page(connection: psycopg.Connection[Any]) -> str:
    """Return the page.

    Args:
        connection: to a migrated database; the outbox is in `public`.
    """
    found = list(facts(connection, "public").values())
    return "".join(
        [
            _HEAD,
            *(f"{_column(fact)}\n" for fact in _in_order(connection, found)),
            "\n## Rules of values\n\n| domain | is | must hold |\n| --- | --- | --- |\n",
            *(f"{_domain(fact, found)}\n" for fact in found if fact.kind == "domain"),
            *_listing("Rules of rows", [fact for fact in found if _of(fact, "constraint")]),
            *_listing("Indexes", [fact for fact in found if _of(fact, "index")]),
            *_listing("Triggers", [fact for fact in found if _of(fact, "trigger")]),
            "\n## Functions\n\n",
            *(f"- `{fact.name}`\n" for fact in found if fact.kind == "function"),
            "\n## Tables beside it\n\n",
            *(f"- `{fact.name}`: {_comment(connection, fact.name)}\n" for fact in found if _beside(fact)),
        ]
    )


def _of(fact: Fact, kind: str) -> bool:
    return fact.kind == kind and fact.parent == _TABLE


def _beside(fact: Fact) -> bool:
    return fact.kind == "table" and fact.name != _TABLE


def _in_order(connection: psycopg.Connection[Any], found: list[Fact]) -> list[Fact]:
    """Return the columns in the order of the page; there must be a meaning for each."""
    columns = {fact.name: fact for fact in found if _of(fact, "column")}
    assert columns.keys() == _COLUMNS.keys()
    return [columns[name] for name in _COLUMNS]


def _column(fact: Fact) -> str:
    known = _COLUMNS[fact.name]
    return f"| `{fact.name}` | {_code(fact.definition)} | {known.by} | {known.meaning} |"


def _domain(domain: Fact, found: list[Fact]) -> str:
    rules = [fact for fact in found if fact.kind == "constraint" and fact.parent == domain.name]
    return (
        f"| `{domain.name}` | `{domain.definition}` | {'; '.join(_code(rule.definition) for rule in rules)} |"
    )


def _listing(title: str, found: list[Fact]) -> list[str]:
    rows = [f"| `{fact.name}` | {_code(fact.definition)} |\n" for fact in found]
    return [f"\n## {title}\n\n| name | definition |\n| --- | --- |\n", *rows]


def _code(definition: str) -> str:
    """Return a definition as code in a cell of a table."""
    text = re.sub(r"\s+", " ", definition).replace("|", "\\|")
    return f"`{text}`"


def _comment(connection: psycopg.Connection[Any], table: str) -> str:
    with connection.cursor(row_factory=scalar_row) as cursor:
        [comment] = cursor.execute("SELECT obj_description(%s::regclass)", [table]).fetchall()
    # The migrations keep their own history: it is there before any of them could say what it is.
    return str(comment or "Migrations that were applied")
