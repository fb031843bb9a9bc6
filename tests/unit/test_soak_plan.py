"""A soak can be repeated: its faults depend on the seed alone, and every kind of them gets its turn."""

from __future__ import annotations

import itertools

import pytest

from tests.soak.attacks import ATTACKS
from tests.soak.conductor import Strike
from tests.soak.evidence import Line, bites
from tests.soak.plan import KINDS, LANES, LEASE, RELAYS, Fault, plan


def test_seed_decides() -> None:
    assert plan(7, 120) == plan(7, 120)
    assert plan(7, 120) != plan(8, 120)


def test_longer_soak_begins_as_a_shorter_one() -> None:
    for short, long in zip(plan(7, 60), plan(7, 600), strict=True):
        assert long[: len(short)] == short


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_has_its_turn_within_two_minutes(seed: int) -> None:
    assert {fault.kind for lane in plan(seed, 120) for fault in lane} == set(KINDS)


@pytest.mark.parametrize("seed", range(20))
def test_faults_of_a_lane_do_not_overlap(seed: int) -> None:
    for lane in plan(seed, 600):
        for earlier, later in itertools.pairwise(lane):
            assert earlier.at + earlier.hold < later.at


def test_every_kind_can_be_done() -> None:
    assert ATTACKS.keys() == set(KINDS)


def test_some_relays_are_frozen_past_their_lease() -> None:
    assert LANES[RELAYS[0]].holds["relay frozen"][1] > LEASE


def test_fault_is_felt_when_those_that_it_hit_say_so_in_time() -> None:
    strikes = [Strike(Fault(1, 1, "nats unheard", "relay-2", 0.1), began=100.0, ended=101.0)]
    over = {"event": "outage.ended"}
    assert bites(strikes, [Line("relay-2", 102.0, over)])["nats unheard"].felt == 1
    assert bites(strikes, [Line("relay-1", 102.0, over)])["nats unheard"].felt == 0
    assert bites(strikes, [Line("relay-2", 99.0, over)])["nats unheard"].felt == 0
    assert bites(strikes, [Line("relay-2", 200.0, over)])["nats unheard"].felt == 0
    assert bites(strikes, [Line("relay-2", 102.0, {"event": "wake.ready"})])["nats unheard"].felt == 0
