"""What the role of a relay may do, and what the roles of writers may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn
from outbox_notify.operations.doctor.looking import looking

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from outbox_notify.config.settings import Settings

RIGHTS: Subject[Rights] = Subject("rights", "run deploy/roles.sql as the owner of the outbox")


@dataclass(frozen=True)
class Role:
    """A row of doctor_role.sql.

    Args:
        above_all: superuser, or not bound by row-level security.
        owner: of the outbox.
        row_security: whether it is bound by row-level security here.
        policies: how many let it see rows.
        all_rows: whether they let it see all.
    """

    role: str
    above_all: bool
    owner: bool
    row_security: bool
    policies: int
    all_rows: bool


@dataclass(frozen=True)
class Missing:
    """A right of a relay that the role lacks, and what grants it."""

    what: str
    mend: str


@dataclass(frozen=True)
class Writer:
    """A role that may insert events, and a function that inserting calls and it may not."""

    role: str
    function: str


@dataclass(frozen=True)
class Rights:
    """Who we are, and what is missing."""

    table: str
    role: Role
    missing: Sequence[Missing]
    writers: Sequence[Writer]


def look(conn: psycopg.Connection, settings: Settings) -> Rights:
    """Ask what the role may do.

    Raises:
        OutboxError: the server does not answer, or refuses.
    """
    with looking(conn, settings.schema) as outbox:
        [role] = outbox.rows("doctor_role", Role)
        table = f"{settings.schema}.event_outbox"
        return Rights(
            table, role, outbox.rows("doctor_rights", Missing), outbox.rows("doctor_writers", Writer)
        )


@RIGHTS.check
def role(rights: Rights) -> Verdict:
    """Look whether the role may do more than a relay needs."""
    name = rights.role.role
    mend = "deploy/roles.sql, then CREATE ROLE ... LOGIN IN ROLE outbox_relay, and that user in OUTBOX_DATABASE_URL"
    if rights.role.above_all:
        return warn(f"{name} is a superuser, or above row-level security: a relay needs neither", mend)
    if rights.role.owner:
        return warn(f"{name} owns the outbox, and may change all of it: a relay need not", mend)
    return ok(f"{name} has no power over the outbox itself")


@RIGHTS.check
def relay(rights: Rights) -> Verdict:
    """Look for rights that a relay needs and the role lacks."""
    if rights.missing:
        lacks = ", ".join(one.what for one in rights.missing)
        return fail(f"{rights.role.role} lacks {lacks}", "; ".join(one.mend for one in rights.missing))
    return ok("all that a relay needs")


@RIGHTS.check
def rows(rights: Rights) -> Verdict:
    """Look whether row-level security hides events from the relay."""
    role = rights.role
    mend = f'CREATE POLICY outbox_works ON {rights.table} TO "{role.role}" USING (true)'
    if role.row_security and not role.policies:
        return fail("row-level security hides every event from this role", mend)
    if role.row_security and not role.all_rows:
        return warn(
            "row-level security may hide events from this role: nobody publishes what no relay sees", mend
        )
    return ok("row-level security hides nothing")


@RIGHTS.check
def writers(rights: Rights) -> Verdict:
    """Look for roles that may insert and not call what inserting calls."""
    if not rights.writers:
        return ok("whoever may insert may call what inserting calls")
    named = ", ".join(f"{one.role} may not call {one.function}" for one in rights.writers)
    grants = (f'GRANT EXECUTE ON FUNCTION {one.function} TO "{one.role}"' for one in rights.writers)
    return fail(f"inserts of events are refused: {named}", "; ".join(grants))
