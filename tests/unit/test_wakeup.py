"""When a relay without work looks again."""

from __future__ import annotations

import pytest

from outbox_notify.relay.wakeup import LIGHT_BATCH, POLL_INTERVAL, Arm, Wakeup

LOOKS = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25]


@pytest.mark.parametrize("arm", [Arm.HELD, Arm.SPARE])
def test_armed_relay_sleeps_until_something_is_due(arm: Arm) -> None:
    assert Wakeup(listens=True).rest(60.0, arm, listening=True) == 60.0


@pytest.mark.parametrize("arm", Arm)
def test_relay_that_hears_nothing_polls(arm: Arm) -> None:
    assert Wakeup(listens=True).rest(60.0, arm, listening=False) == POLL_INTERVAL
    assert Wakeup(listens=False).rest(60.0, arm, listening=True) == POLL_INTERVAL


@pytest.mark.parametrize("arm", [Arm.OFF, Arm.ASKED])
def test_relay_that_waits_for_the_lock_looks_at_growing_intervals(arm: Arm) -> None:
    wakeup = Wakeup(listens=True)
    assert [wakeup.rest(60.0, arm, listening=True) for _ in LOOKS] == LOOKS


@pytest.mark.parametrize("arm", Arm)
@pytest.mark.parametrize("listening", [True, False])
@pytest.mark.parametrize("listens", [True, False])
def test_no_rest_is_longer_than_wanted(arm: Arm, listening: bool, listens: bool) -> None:  # noqa: FBT001  # a table
    wakeup = Wakeup(listens=listens)
    assert [wakeup.rest(0.001, arm, listening=listening) for _ in range(3)] == [0.001] * 3


def test_lock_that_is_held_starts_the_looks_over() -> None:
    wakeup = Wakeup(listens=True)
    for arm in (Arm.ASKED, Arm.ASKED, Arm.HELD):
        wakeup.rest(60.0, arm, listening=True)
    assert wakeup.rest(60.0, Arm.ASKED, listening=True) == LOOKS[0]


def test_events_that_were_found_start_the_looks_over() -> None:
    wakeup = Wakeup(listens=True)
    wakeup.rest(60.0, Arm.ASKED, listening=True)
    wakeup.looked(1)
    assert wakeup.rest(60.0, Arm.ASKED, listening=True) == LOOKS[0]


def test_looks_that_find_nothing_grow_apart() -> None:
    wakeup = Wakeup(listens=True)
    wakeup.rest(60.0, Arm.ASKED, listening=True)
    wakeup.looked(0)
    assert wakeup.rest(60.0, Arm.ASKED, listening=True) == LOOKS[1]


@pytest.mark.parametrize(
    ("claimed", "lets_go"),
    [(0, False), (1, False), (LIGHT_BATCH, False), (LIGHT_BATCH + 1, True), (500, True)],
)
def test_lock_is_let_go_of_when_batches_are_large(claimed: int, lets_go: bool) -> None:  # noqa: FBT001  # a table
    assert Wakeup(listens=True).looked(claimed) is lets_go


@pytest.mark.parametrize("arm", Arm)
def test_heavy_traffic_is_looked_at_every_ten_milliseconds_until_it_is_light_again(arm: Arm) -> None:
    wakeup = Wakeup(listens=True)
    wakeup.looked(500)
    assert [wakeup.rest(60.0, arm, listening=True) for _ in range(3)] == [0.01] * 3
    wakeup.looked(0)
    assert wakeup.rest(60.0, Arm.HELD, listening=True) == 60.0
