"""Examines everything that a relay depends on, and waits until it is well where that is wanted."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from outbox_notify.errors import OutboxError
from outbox_notify.operations.doctor import events, nats, postgres, rights, schema, table, wake
from outbox_notify.operations.doctor.coverage import COVERAGE
from outbox_notify.operations.doctor.events import EVENTS, Events
from outbox_notify.operations.doctor.findings import Finding, Level
from outbox_notify.operations.doctor.nats import NATS
from outbox_notify.operations.doctor.postgres import POSTGRES
from outbox_notify.operations.doctor.rights import RIGHTS
from outbox_notify.operations.doctor.schema import SCHEMA
from outbox_notify.operations.doctor.settings import SETTINGS
from outbox_notify.operations.doctor.stream import STREAM, Kept
from outbox_notify.operations.doctor.table import TABLE
from outbox_notify.operations.doctor.wake import WAKE
from outbox_notify.postgres.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from outbox_notify.config.settings import Settings

SUBJECTS = (SETTINGS, POSTGRES, SCHEMA, RIGHTS, TABLE, WAKE, EVENTS, NATS, COVERAGE, STREAM)
_PAUSE = 1.0


def examine(settings: Settings) -> list[Finding]:
    """Look at settings, PostgreSQL and NATS; what cannot be reached is a finding, and the rest is looked at."""
    patient = _Patient(settings)
    return [*SETTINGS.judged(settings), *patient.database(), *messaging(settings, patient.events)]


def examine_until_well(
    settings: Settings, patience: float, on_look: Callable[[list[Finding]], None]
) -> list[Finding]:
    """Examine until nothing fails, or no look may begin any more.

    Args:
        settings: all of them.
        patience: seconds in which looks may begin.
        on_look: told what each look found that is not the last.
    """
    deadline = time.monotonic() + patience
    while True:
        findings = examine(settings)
        if worst(findings) != Level.FAIL or time.monotonic() + _PAUSE > deadline:
            return findings
        on_look(findings)
        time.sleep(_PAUSE)


def worst(findings: list[Finding]) -> Level:
    """Return the worst level among findings."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


class _Patient:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.events = Events()

    def database(self) -> Iterator[Finding]:
        try:
            conn = connect(self._settings, "doctor")
        except OutboxError as error:
            yield Finding(POSTGRES.name, Level.FAIL, str(error), POSTGRES.mend)
            return
        with conn:
            yield from POSTGRES.examined(partial(postgres.look, conn, self._settings))
            yield from self._outbox(conn)

    def _outbox(self, conn: psycopg.Connection) -> Iterator[Finding]:
        try:
            outbox = schema.look(conn, self._settings)
        except OutboxError as error:
            yield Finding(SCHEMA.name, Level.FAIL, str(error), SCHEMA.mend)
            return
        yield from SCHEMA.judged(outbox)
        if outbox.exists:
            yield from RIGHTS.examined(partial(rights.look, conn, self._settings))
            yield from TABLE.examined(partial(table.look, conn, self._settings))
            yield from WAKE.examined(partial(wake.look, conn, self._settings))
            yield from EVENTS.examined(partial(self._look_at_events, conn))

    def _look_at_events(self, conn: psycopg.Connection) -> Events:
        self.events = events.look(conn, self._settings)
        return self.events


def messaging(settings: Settings, events: Events) -> Iterator[Finding]:
    """Yield what is found about NATS and the streams, which are to take these events."""
    try:
        seen = nats.look(settings, events)
    except OutboxError as error:
        yield Finding(NATS.name, Level.FAIL, str(error), NATS.mend)
        return
    yield from NATS.judged(seen)
    yield from COVERAGE.judged(seen)
    for stream in seen.found.streams:
        if stream.name in seen.found.covering:
            yield from STREAM.judged(Kept(stream, seen.found, settings, events))
