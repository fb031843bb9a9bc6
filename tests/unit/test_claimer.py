"""What a relay asks of the table, and when it looks at all of it again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.relay.claimer import Claimer
from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry
from outbox_notify.relay.routes import Routes
from tests.support.fakes import ACKED, FakeOutbox, FakeWake, Notes, event

if TYPE_CHECKING:
    from uuid import UUID

    from outbox_notify.relay.claims import Claim

pytestmark = pytest.mark.anyio

ROUTE = "acme.stock.moved"


class Rig:
    """A claimer with everything around it."""

    def __init__(self, sweep_interval: float = 60.0) -> None:
        self.outbox, self.wake, self.notes, self.routes = FakeOutbox(), FakeWake(), Notes(), Routes()
        self.claimer = Claimer(
            self.outbox,
            self.wake,
            self.routes,
            self.notes,
            batch_size=100,
            batch_bytes=1000,
            sweep_interval=sweep_interval,
        )
        self.last: Claim

    async def claim(self, *ids: int, key: int | None = None, held: tuple[int, ...] = ()) -> UUID | None:
        """Claim events of these ids, or nothing."""
        if ids:
            self.outbox.will_claim(*(event(row_id, key) for row_id in ids))
        self.last = await self.claimer.claim(held)
        return self.last.token

    def rests_for(self) -> float:
        """Return for how long nothing is known to come due."""
        return self.claimer.nothing_before(self.last)

    async def starts(self) -> int:
        """Return where the next claim starts; it finds nothing."""
        await self.claim()
        return self.outbox.wanted[-1].start

    def settle(self, token: UUID | None, outcome: Outcome, *ids: int, written: bool = True) -> bool:
        assert token is not None
        return self.claimer.settled(token, dict.fromkeys(map(event, ids), outcome), written=written)


async def test_claims_go_on_where_the_last_one_ended() -> None:
    rig = Rig()
    await rig.claim(1, 2, 3)
    assert await rig.starts() == 4


async def test_claim_asks_within_its_limits_and_leaves_alone_what_is_on_its_way_back() -> None:
    rig = Rig()
    await rig.claim(1, held=(7, 8))
    wanted = rig.outbox.wanted[0]
    assert (wanted.scan, wanted.bytes, wanted.held) == (100, 1000, [7, 8])


async def test_a_claim_by_another_server_is_given_back_and_made_anew_from_the_beginning() -> None:
    rig = Rig()
    await rig.claim(900, 901)
    # What was lost on the way takes ids back with it: 880 is new, and 902 comes after it.
    rig.outbox.server = "second"
    rig.outbox.will_claim(event(902))
    token = await rig.claim(880)
    assert [wanted.start for wanted in rig.outbox.wanted] == [0, 902, 0]
    assert [given_back for given_back in rig.outbox.released if given_back != token]
    assert token not in rig.outbox.released
    assert rig.wake.followed == ["second"]
    assert rig.notes.of("server.changed") == [{"since": "second"}]


async def test_claims_begin_anew_where_all_rows_were_removed_at_once() -> None:
    rig = Rig()
    await rig.claim(900, 901)
    rig.outbox.place = 2
    await rig.claim()
    assert [wanted.start for wanted in rig.outbox.wanted] == [0, 902, 0]
    assert rig.notes.of("table.replaced") == [{}]
    assert rig.notes.of("server.changed") == []
    assert rig.wake.followed == []


async def test_claim_that_cannot_be_given_back_to_another_server_is_not_taken_for_ours() -> None:
    rig = Rig()
    token = await rig.claim(900)
    rig.settle(token, ACKED, 900)
    rig.outbox.server = "second"
    rig.outbox.unreachable["release"] = 1
    with pytest.raises(DatabaseUnreachable):
        await rig.claim(880)
    await rig.claim()
    assert rig.outbox.wanted[-1].own == []


async def test_leases_of_others_are_looked_at_again_on_another_server() -> None:
    rig = Rig()
    token = await rig.claim(900)
    rig.outbox.server = "second"
    await rig.claim()
    assert rig.outbox.wanted[-1].seen_to.int == 0
    assert rig.outbox.wanted[-1].own == [token]


async def test_own_leases_are_known_until_they_are_settled() -> None:
    rig = Rig()
    first, second = await rig.claim(1), await rig.claim(2)
    await rig.claim()
    assert set(rig.outbox.wanted[-1].own) == {first, second}
    rig.settle(first, ACKED, 1)
    await rig.claim()
    assert rig.outbox.wanted[-1].own == [second]


async def test_lease_whose_outcomes_could_not_be_written_holds_its_aggregates() -> None:
    rig = Rig()
    token = await rig.claim(1)
    rig.settle(token, Released("away"), 1, written=False)
    await rig.claim()
    assert rig.outbox.wanted[-1].own == []
    assert rig.outbox.wanted[-1].foreign == [token]


async def test_what_came_back_is_looked_for_at_its_place_at_once() -> None:
    for outcome in (Released("away"), Rested(ROUTE, "full")):
        rig = Rig()
        token = await rig.claim(5, 6, 7)
        assert rig.settle(token, outcome, 6)
        assert await rig.starts() == 6


async def test_event_of_an_aggregate_is_a_reason_to_look_since_another_relay_may_have_passed_its_followers() -> (
    None
):
    for outcome in (ACKED, Failed("too large")):
        rig = Rig()
        token = await rig.claim(5)
        assert token is not None
        assert rig.claimer.settled(token, {event(5, key=1): outcome}, written=True)


async def test_events_without_an_aggregate_that_are_done_are_no_reason_to_look() -> None:
    for outcome in (ACKED, Failed("too large")):
        rig = Rig()
        assert not rig.settle(await rig.claim(5), outcome, 5)
        assert await rig.starts() == 6


async def test_retry_is_a_reason_to_look_since_only_a_claim_tells_when_it_comes_due() -> None:
    rig = Rig()
    assert rig.settle(await rig.claim(5), Retry("no"), 5)


async def test_asked_for_a_look_at_the_whole_table_it_starts_over_once() -> None:
    rig = Rig()
    await rig.claim(1, 2, 3)
    rig.wake.asked = True
    assert await rig.starts() == 0


async def test_whole_table_is_looked_at_once_a_sweep_interval() -> None:
    rig = Rig(sweep_interval=0.02)
    await rig.claim(1, 2, 3)
    assert await rig.starts() == 4
    with anyio.fail_after(5):
        while await rig.starts():
            assert rig.rests_for() <= 0.02


async def test_scan_that_was_asked_for_is_not_lost_when_the_table_is_away() -> None:
    rig = Rig()
    await rig.claim(1, 2, 3)
    rig.wake.asked = True
    rig.outbox.unreachable["claim"] = 1
    with pytest.raises(DatabaseUnreachable):
        await rig.claim()
    assert [await rig.starts() for _ in range(2)] == [4, 0]


async def test_resting_route_is_left_out_and_its_rest_is_reported_once() -> None:
    rig = Rig()
    await rig.claim(1)
    for _ in range(3):
        rig.claimer.note(event(1), Rested(ROUTE, "full"))
    await rig.claim()
    assert rig.outbox.wanted[-1].resting == [ROUTE]
    assert rig.notes.of("route.resting") == [{"route": ROUTE, "reason": "full"}]


async def test_route_whose_rest_is_over_is_tried_from_the_beginning_and_its_recovery_reported() -> None:
    rig = Rig()
    await rig.claim(1, 2, 3)
    rig.claimer.note(event(1), Rested(ROUTE, "full"))
    assert await rig.starts() == 4
    rest = rig.routes.resting[ROUTE]
    rest.until = 0.0
    assert await rig.starts() == 0
    assert rig.outbox.wanted[-1].resting == []
    rig.claimer.note(event(1), ACKED)
    assert rig.notes.of("route.recovered") == [{"route": ROUTE}]


async def test_routes_are_not_tried_again_before_the_last_look_at_the_whole_table_is_back() -> None:
    rig = Rig()
    await rig.claim(1, 2, 300)
    rig.wake.asked = True
    for row_id in (1, 302, 400):
        rig.outbox.will_claim(event(row_id))
    await rig.claim()
    rig.claimer.note(event(1), Rested(ROUTE, "full"))
    rig.routes.resting[ROUTE].until = 0.0
    for _ in range(3):
        await rig.claim()
    assert [wanted.start for wanted in rig.outbox.wanted] == [0, 0, 301, 2, 0]
    assert [wanted.resting for wanted in rig.outbox.wanted[2:]] == [[ROUTE], [ROUTE], []]


async def test_time_that_a_relay_was_frozen_in_a_claim_is_not_the_cost_of_its_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig, thawed = Rig(), time.monotonic() + 3600
    rig.outbox.before = lambda _call: monkeypatch.setattr(time, "monotonic", lambda: thawed)
    await rig.claim()
    assert rig.rests_for() <= 100


async def test_relay_rests_until_the_first_thing_that_may_come_due() -> None:
    rig = Rig(sweep_interval=60.0)
    await rig.claim()
    assert 59 < rig.rests_for() <= 60
    rig.outbox.next_due_in = 5.0
    await rig.claim()
    assert rig.rests_for() == 5.0
    rig.claimer.note(event(1), Rested(ROUTE, "full"))
    assert 0 < rig.rests_for() <= 0.5


async def test_pause_that_is_over_is_followed_by_a_look_at_the_whole_table() -> None:
    rig = Rig(sweep_interval=60.0)
    await rig.claim(1, 2, 3)
    rig.outbox.pause_ends_in = 0.05
    assert await rig.starts() == 4
    assert 0 < rig.rests_for() <= 0.05
    # What the next claim says: there is another one, that lasts.
    rig.outbox.pause_ends_in = 50.0
    await anyio.sleep(rig.rests_for())
    assert await rig.starts() == 0
    assert 49 < rig.rests_for() <= 50
    assert await rig.starts() == 4


async def test_pause_that_ends_between_two_claims_is_not_forgotten() -> None:
    rig = Rig(sweep_interval=60.0)
    await rig.claim(1, 2, 3)
    rig.outbox.pause_ends_in = 0.05
    await rig.claim()
    # By the clock of the server it was over a moment sooner.
    rig.outbox.pause_ends_in = None
    assert await rig.starts() == 4
    assert rig.rests_for() <= 0.05
    await anyio.sleep(rig.rests_for())
    assert await rig.starts() == 0


async def test_nothing_is_due_only_when_nothing_is_in_hand_and_no_route_rests() -> None:
    rig = Rig()
    token = await rig.claim(1)
    await rig.claim()
    assert not rig.claimer.nothing_due(rig.last)
    rig.settle(token, ACKED, 1)
    assert rig.claimer.nothing_due(rig.last)
    rig.claimer.note(event(1), Rested(ROUTE, "full"))
    assert not rig.claimer.nothing_due(rig.last)
