"""What `doctor` says, by check, for tests that plant faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from outbox_notify.config.settings import Settings
from outbox_notify.operations.doctor.examination import examine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbox_notify.operations.doctor.findings import Finding

# Nobody listens there, and one is told so at once.
NOBODY = "nats://127.0.0.1:1"


class Said(NamedTuple):
    """A row of `doctor`; a finding of a stream stands for that stream alone, so tests have one."""

    level: str
    text: str
    mend: str

    def holds(self, level: str, *words: str) -> bool:
        """Return whether it has this level, names these words, and says what mends it unless all is well."""
        return (
            self.level == level
            and all(word in f"{self.text} {self.mend}" for word in words)
            and bool(self.mend) == (level != "ok")
        )


def by_check(findings: Iterable[Finding]) -> dict[str, Said]:
    """Return findings by the names of their checks; fails when two have the same."""
    rows = [(one.check, Said(one.level, one.text, one.mend or "")) for one in findings]
    assert len(dict(rows)) == len(rows), rows
    return dict(rows)


def examined(database: str, nats: str = NOBODY, **settings: object) -> dict[str, Said]:
    """Examine a database, and NATS where a test has one."""
    return by_check(examine(Settings(database_url=database, nats_url=nats, **settings)))  # type: ignore[arg-type]  # by name


def troubles(said: dict[str, Said]) -> dict[str, str]:
    """Return the levels of all rows that are not ok."""
    return {check: row.level for check, row in said.items() if row.level != "ok"}
