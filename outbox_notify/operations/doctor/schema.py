"""The schema of the outbox: whether it is there, up to date and what the migrations make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.errors import NotPermitted
from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn
from outbox_notify.schema import drift
from outbox_notify.schema.history import history
from outbox_notify.schema.migration import packaged, pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from outbox_notify.config.settings import Settings

_SHOWN = 3
# What servers tell of themselves when they take no writes.
_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")

SCHEMA: Subject[Outbox] = Subject("schema", "outbox-notify migrate status")


@dataclass(frozen=True)
class Outbox:
    """The schema as it is.

    Args:
        version: newest applied migration; None when there is no outbox.
        pending: names of migrations that were not applied.
        verdict: how it compares; None when what it is compared with cannot be built here.
    """

    schema: str
    version: int | None
    pending: Sequence[str]
    verdict: drift.Verdict | None

    @property
    def exists(self) -> bool:
        """Whether anything was ever applied."""
        return self.version is not None


def look(conn: psycopg.Connection, settings: Settings) -> Outbox:
    """Read the history of the schema, and compare what is there where the role may.

    Raises:
        SchemaError: the history was edited or is newer than this package.
        OutboxError: the server does not answer, or refuses.
    """
    rows = history(conn, settings.schema)
    waiting = [migration.name for migration in pending(packaged(), rows)]
    version = max(rows, default=None)
    return Outbox(settings.schema, version, waiting, _compared(conn, settings.schema) if rows else None)


def _compared(conn: psycopg.Connection, schema: str) -> drift.Verdict | None:
    if "on" in map(conn.info.parameter_status, _READ_ONLY):
        return None
    try:
        return drift.verify(conn, schema)
    except NotPermitted:
        return None


@SCHEMA.check
def version(outbox: Outbox) -> Verdict:
    """Look whether every migration of the package was applied."""
    if not outbox.exists:
        return fail(f"there is no outbox in schema {outbox.schema}", "outbox-notify migrate")
    if outbox.pending:
        return fail(f"not applied yet: {', '.join(outbox.pending)}", "outbox-notify migrate")
    return ok(f"version {outbox.version}, schema {outbox.schema}")


@SCHEMA.check
def differences(outbox: Outbox) -> Verdict | None:
    """Look whether something is missing, changed or disabled."""
    if not outbox.exists:
        return None
    if outbox.verdict is None:
        return ok(
            "not compared: as a role that may create a schema, run outbox-notify migrate verify on the primary"
        )
    if found := outbox.verdict.differences:
        return fail(
            _listed(found), "outbox-notify migrate verify shows all; outbox-notify migrate sql how it was"
        )
    return ok("what the migrations make")


@SCHEMA.check
def extras(outbox: Outbox) -> Verdict | None:
    """Look whether somebody added to the tables of the outbox."""
    if outbox.verdict is None:
        return None
    if outbox.verdict.extras:
        return warn(
            f"{_listed(outbox.verdict.extras)}: every event pays for it",
            "drop it, unless it is meant: outbox-notify migrate verify shows all",
        )
    return ok("nothing was added")


def _listed(differences: Sequence[drift.Difference]) -> str:
    shown = [str(difference) for difference in differences[:_SHOWN]]
    more = [f"and {len(differences) - _SHOWN} more"] * (len(differences) > _SHOWN)
    return "; ".join(shown + more)
