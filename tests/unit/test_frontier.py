"""Where the next claim looks: past what is done, back for what came free, and never past what it cannot remember."""

from __future__ import annotations

from uuid import UUID

from outbox_notify.relay.frontier import Frontier
from outbox_notify.relay.late_commits import Transactions
from outbox_notify.relay.leases import Leases
from outbox_notify.relay.position import Passed
from tests.support.fakes import scan

LOOK = 100


def held(first: int, key: int | None, tenant: str = "acme", *, rests: bool = False) -> Passed:
    return Passed(tenant, key, first, rests)


def advanced(frontier: Frontier, to: int, *passed: Passed, claimed: int = 1, free: int = LOOK) -> int:
    """Let a claim see everything up to an id; return where the next one starts."""
    frontier.begin()
    frontier.advance(scan(to, passed, free=free), claimed)
    return frontier.begin()


def test_first_claim_starts_at_the_beginning() -> None:
    assert Frontier(LOOK).begin() == 0


def test_next_claim_starts_where_the_last_one_ended() -> None:
    assert advanced(Frontier(LOOK), 500) == 501


def test_key_that_was_passed_over_is_remembered_until_an_event_of_it_is_settled() -> None:
    frontier = Frontier(LOOK)
    assert advanced(frontier, 500, held(17, key=7), held(20, key=8)) == 501
    assert frontier.front.passed == {7: 17, 8: 20}
    frontier.settled(8)
    assert (frontier.begin(), frontier.front.passed) == (20, {7: 17})
    frontier.settled(7)
    assert (frontier.begin(), frontier.front.passed) == (17, {})


def test_key_that_is_passed_over_again_further_back_is_remembered_from_there() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 500, held(50, key=7))
    advanced(frontier, 500, held(10, key=7))
    assert frontier.front.passed == {7: 10}


def test_going_back_forgets_what_the_next_claim_meets_again() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 500, held(17, key=7), held(200, key=8))
    frontier.lower(100)
    assert (frontier.begin(), frontier.front.passed) == (100, {7: 17})


def test_what_came_free_while_a_claim_ran_is_looked_at_again() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 500)
    frontier.begin()
    frontier.lower(300)
    frontier.advance(scan(600), claimed=1)
    assert frontier.begin() == 300


def test_key_that_was_settled_while_a_claim_ran_is_gone_back_for() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 500)
    frontier.begin()
    frontier.settled(7)
    frontier.advance(scan(600, [held(540, key=8), held(550, key=7)]), claimed=1)
    assert frontier.went_back
    assert (frontier.begin(), frontier.at.passed) == (550, {8: 540})


def test_transaction_that_ran_is_known_with_the_lowest_id_that_it_may_have_drawn() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 500)
    frontier.begin()
    running = Transactions([12], horizon=20, own=20)
    frontier.advance(scan(600, transactions=running), claimed=1)
    assert frontier.late.running == {12: 501}


def far(*passed: Passed) -> Frontier:
    """Return a front that is a long way from the beginning, past what it has passed over."""
    frontier = Frontier(LOOK)
    advanced(frontier, 100_000, *passed)
    return frontier


def step(frontier: Frontier, to: int, *passed: Passed, exhausted: bool = False) -> int:
    """Let the claim that has begun see everything up to an id; return where the next one starts, after a turn."""
    frontier.advance(scan(to, passed, free=LOOK, exhausted=exhausted), 1)
    return frontier.begin(walking=frontier.walking_next)


def test_walk_and_front_take_turns_and_the_walk_becomes_the_front() -> None:
    frontier = far(held(17, key=7), held(90_000, key=8))
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    assert (frontier.begin(walking=True), frontier.at.passed) == (0, {})
    assert step(frontier, 50_000, held(20_000, key=9)) == 100_001
    assert frontier.at.passed == {7: 17, 8: 90_000}
    assert step(frontier, 100_100) == 50_001
    assert frontier.went_back is False
    assert step(frontier, 100_200) == 100_201
    assert (frontier.walk, frontier.front.passed) == (None, {9: 20_000})


def test_walk_through_an_empty_table_does_not_move_the_front_back() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    assert step(frontier, -1, exhausted=True) == 100_001
    assert frontier.walk is None


def test_front_goes_back_to_where_ids_begin_anew() -> None:
    frontier = far()
    frontier.advance(scan(100_000, transactions=Transactions([12], 20, 20)), 1)
    frontier.look_at_all()
    frontier.begin(walking=True)
    frontier.advance(scan(40, free=1, transactions=Transactions([12], 30, 30)), 1)
    assert (frontier.begin(), frontier.walk) == (41, None)
    # Nobody knows any more where it began to draw.
    assert frontier.late.running == {12: 0}


def test_what_came_free_far_back_is_walked_to_and_the_front_goes_on() -> None:
    frontier = far(held(17, key=7), held(200, key=8), held(300, key=9))
    frontier.settled(8)
    frontier.advance(scan(100_000), 0)
    assert (frontier.begin(walking=True), frontier.at.passed) == (200, {7: 17})
    assert step(frontier, 1200) == 100_001
    assert frontier.at.passed == {7: 17, 8: 200, 9: 300}


def test_walk_goes_back_for_what_it_has_passed_over_itself() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    step(frontier, 50_000, held(20_000, key=9))
    frontier.settled(9)
    assert step(frontier, 100_100) == 20_000
    assert frontier.at.passed == {}


def test_late_commit_that_the_front_passes_over_behind_a_walk_is_known_to_the_walk() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    step(frontier, 50_000)
    assert step(frontier, 100_100, held(30_000, key=5), held(60_000, key=6)) == 50_001
    assert frontier.at.passed == {5: 30_000}


def test_walk_never_overtakes_a_front_that_had_to_stop() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    step(frontier, 50_000)
    frontier.advance(scan(100_100, [held(30_000, key=5)], complete=False), 1)
    assert frontier.begin(walking=True) == 30_001


def test_going_back_while_a_claim_ran_forgets_nothing_that_the_claim_has_moved_past() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 10_000, held(9_700, key=7))
    frontier.lower(9_500)
    frontier.advance(scan(12_000), claimed=1)
    assert (frontier.begin(), frontier.at.passed) == (12_001, {7: 9_700})
    assert frontier.begin(walking=True) == 9_500


def test_walk_that_arrives_while_something_comes_free_behind_it_keeps_its_notes() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    step(frontier, 60_000, held(50_000, key=9))
    frontier.advance(scan(100_000), 0)
    frontier.begin(walking=True)
    frontier.lower(10_000)
    frontier.advance(scan(100_500, free=LOOK, exhausted=False), 1)
    assert (frontier.begin(), frontier.at.passed) == (100_501, {9: 50_000})
    assert frontier.begin(walking=True) == 10_000


def test_walk_that_could_not_note_all_it_passed_over_never_becomes_the_front() -> None:
    frontier = far(held(17, key=7))
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    rows = [held(1000 + n, key=1000 + n, tenant=f"t{n % 100}") for n in range(4500)]
    frontier.advance(scan(90_000, rows, exhausted=True), claimed=1)
    assert frontier.begin() == 100_001
    assert frontier.at.passed == {7: 17}


def test_late_commit_behind_a_walk_does_not_end_it() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    frontier.begin(walking=True)
    step(frontier, 50_000)
    frontier.advance(scan(100_000), 0)
    frontier.begin(walking=True)
    frontier.advance(scan(40_000, [held(39_000, key=5)], free=0, exhausted=False), 0)
    assert frontier.begin(walking=True) == 40_001


def test_walk_without_room_to_note_what_is_in_the_way_ends() -> None:
    frontier = far()
    frontier.advance(scan(100_000), 0)
    frontier.look_at_all()
    rows = [held(1000 + n, key=n, tenant=f"t{n % 100}") for n in range(4096)]
    frontier.begin()
    step(frontier, 6000, *rows)
    frontier.begin(walking=True)
    frontier.advance(scan(8000, [held(6001, key=9999)], free=0, exhausted=False), 0)
    assert frontier.walk is None


def test_rows_without_an_aggregate_need_no_memory() -> None:
    frontier = Frontier(LOOK)
    assert advanced(frontier, 500, held(17, key=None, rests=True)) == 501
    assert frontier.front.passed == {}


def test_claim_that_could_not_name_all_it_passed_over_is_gone_on_with_after_the_last_one() -> None:
    frontier = Frontier(LOOK)
    frontier.begin()
    frontier.advance(scan(500, [held(17, key=7), held(20, key=8)], complete=False), claimed=1)
    assert frontier.begin() == 21


def test_memory_is_bounded_and_the_frontier_stops_before_what_does_not_fit() -> None:
    frontier = Frontier(LOOK)
    rows = [held(1000 + n, key=n, tenant=f"t{n % 100}") for n in range(6000)]
    assert advanced(frontier, 9000, *rows, claimed=0) == 1000 + 4096
    assert len(frontier.front.passed) == 4096


def test_stuck_frontier_looks_further_and_further_until_something_may_go() -> None:
    frontier = Frontier(LOOK)
    rows = [held(1000 + n, key=n, tenant=f"t{n % 100}") for n in range(6000)]
    looks = []
    for _ in range(20):
        advanced(frontier, 9000, *rows, claimed=0)
        looks.append(frontier.front.look)
    assert looks[:3] == [400, 1600, 6400]
    assert looks[-1] == 5_000_000
    advanced(frontier, 9000)
    assert frontier.front.look == LOOK


def test_look_widens_moderately_where_hardly_anything_may_go() -> None:
    frontier = Frontier(LOOK)
    for _ in range(10):
        frontier.begin()
        frontier.advance(scan(500, free=1, exhausted=False), claimed=1)
    assert frontier.front.look == LOOK * 40


def test_tenant_with_many_resting_aggregates_rests_as_a_whole_and_takes_no_memory() -> None:
    frontier = Frontier(LOOK)
    rows = [held(n, key=n, rests=True) for n in range(1, 301)] + [held(400, key=400, tenant="globex")]
    assert advanced(frontier, 500, *rows) == 501
    assert frontier.front.resting_tenants == {"acme"}
    assert frontier.front.passed == {400: 400}
    frontier.look_at_all()
    frontier.begin(walking=True)
    assert frontier.at.resting_tenants == set()


def test_tenants_rest_as_a_whole_even_when_memory_is_full() -> None:
    frontier = Frontier(LOOK)
    advanced(frontier, 9000, *[held(n, key=n, tenant=f"t{n % 100}") for n in range(1, 2049)], claimed=0)
    rows = [held(9000 + n, key=9000 + n, rests=True) for n in range(1, 301)]
    assert advanced(frontier, 9500, *rows) == 9501
    assert frontier.front.resting_tenants == {"acme"}


def token(number: int) -> UUID:
    return UUID(int=number << 64)


def test_lease_newer_than_all_known_ones_is_somebody_elses_unless_it_is_ours() -> None:
    leases = Leases()
    leases.saw(token(5), [token(3), token(4)])
    assert (leases.own, leases.holding, leases.seen_to) == ({token(5)}, [token(3), token(4)], token(5))


def test_foreign_lease_that_is_not_seen_any_more_holds_no_more() -> None:
    leases = Leases()
    leases.saw(None, [token(3), token(4)])
    leases.saw(None, [token(4)])
    assert (leases.holding, leases.seen_to) == ([token(4)], token(4))


def test_settled_lease_is_not_ours_any_more() -> None:
    leases = Leases()
    leases.saw(token(5), [])
    leases.settled(token(5), written=True)
    assert (leases.own, leases.holding) == (set(), [])


def test_lease_whose_outcomes_are_not_in_the_table_holds_like_that_of_a_stranger() -> None:
    leases = Leases()
    leases.saw(token(5), [])
    leases.settled(token(5), written=False)
    assert (leases.own, leases.holding) == (set(), [token(5)])
    leases.saw(token(6), [])
    assert leases.holding == [token(5)]


def test_whole_look_looks_at_every_lease_again() -> None:
    leases = Leases()
    leases.saw(token(5), [token(3)])
    leases.settled(token(5), written=False)
    leases.forget_foreign()
    assert (leases.holding, leases.seen_to) == ([], UUID(int=0))
