"""The clock beside the table: it reports every call, and changes nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.observability.watched import WatchedOutbox
from outbox_notify.relay.outcomes import Published
from tests.support.fakes import FakeOutbox, Notes, event

if TYPE_CHECKING:
    from uuid import UUID

    from outbox_notify.relay.claims import ClaimedEvent

pytestmark = pytest.mark.anyio

WANTED = cast("Any", type("Anything", (), {"start": 1}))


class Watched:
    """A table with one batch under a lease, and what is reported of it."""

    def __init__(self) -> None:
        self.table, self.notes = FakeOutbox(), Notes()
        self.outbox = WatchedOutbox(cast("Any", self.table), self.notes)
        self.token: UUID = self.table.lease(event(1))
        self.outcomes = {event(1): Published("OUTBOX", 1)}

    @property
    def asked(self) -> list[tuple[object, object]]:
        return [(facts["operation"], facts["error"]) for facts in self.notes.of("database.asked")]


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_every_call_is_timed(watched: Watched) -> None:
    await watched.outbox.claim(WANTED)
    await watched.outbox.read(watched.token)
    await watched.outbox.settle(watched.token, watched.outcomes)
    await watched.outbox.release(watched.token, "stop")
    assert watched.asked == [("claim", None), ("read", None), ("settle", None), ("release", None)]
    assert all(cast("float", facts["seconds"]) >= 0 for facts in watched.notes.of("database.asked"))


async def test_call_that_fails_is_told_with_its_error_and_fails(watched: Watched) -> None:
    watched.table.unreachable = {"read": 1}
    with pytest.raises(DatabaseUnreachable):
        await watched.outbox.read(watched.token)
    ((operation, error),) = watched.asked
    assert (operation, isinstance(error, DatabaseUnreachable)) == ("read", True)


async def test_call_that_is_cancelled_says_nothing_about_the_server(watched: Watched) -> None:
    with anyio.CancelScope() as scope:
        watched.table.before = lambda _call: scope.cancel()
        await watched.outbox.read(watched.token)
    assert watched.asked == []


async def test_outage_is_told_once_and_again_when_it_is_over(watched: Watched) -> None:
    watched.table.unreachable = {"claim": 2, "reclaim": 1}
    for _ in range(2):
        with pytest.raises(DatabaseUnreachable):
            await watched.outbox.claim(WANTED)
    assert watched.notes.of("outage.ended") == []
    for _ in range(2):
        await watched.outbox.claim(WANTED)
    assert watched.notes.of("outage.started") == [{"component": "postgres", "reason": "PostgreSQL is away"}]
    assert watched.notes.of("outage.ended") == [{"component": "postgres", "after": "PostgreSQL is away"}]


async def test_answer_to_what_was_asked_before_an_outage_does_not_end_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_while_a_claim_fails(_token: UUID) -> list[ClaimedEvent]:
        with pytest.raises(DatabaseUnreachable):
            await watched.outbox.claim(WANTED)
        return []

    watched.table.unreachable = {"claim": 1}
    monkeypatch.setattr(watched.table, "read", read_while_a_claim_fails)
    await watched.outbox.read(watched.token)
    assert len(watched.notes.of("outage.started")) == 1
    assert watched.notes.of("outage.ended") == []


async def test_claim_that_finds_nothing_is_told_apart_from_one_that_finds_something(watched: Watched) -> None:
    watched.table.will_claim(event(2))
    await watched.outbox.claim(WANTED)
    assert watched.notes.of("claim.empty") == []
    await watched.outbox.claim(WANTED)
    assert len(watched.notes.of("claim.empty")) == 1


async def test_batch_is_answered_once_however_often_it_is_settled(watched: Watched) -> None:
    await watched.outbox.read(watched.token)
    watched.table.unreachable = {"settle": 1}
    with pytest.raises(DatabaseUnreachable):
        await watched.outbox.settle(watched.token, watched.outcomes)
    await watched.outbox.settle(watched.token, watched.outcomes)
    (answered,) = watched.notes.of("batch.answered")
    assert answered["outcomes"] is watched.outcomes


async def test_batches_that_are_never_settled_are_not_kept_in_mind_for_ever(watched: Watched) -> None:
    for number in range(200):
        await watched.outbox.read(watched.table.lease(event(number)))
    assert len(watched.outbox._read_at) < 50
