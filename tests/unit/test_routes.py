"""Routes that rest: how long, and who hears of it."""

from __future__ import annotations

from outbox_notify.relay.routes import Routes

ROUTE, OTHER = "acme.stock.moved", "acme.stock.counted"


def rest_again(routes: Routes, now: float) -> float:
    """Let the rest of `ROUTE` end, refuse it again, and return how long it rests then."""
    wait = routes.next_rouse(now)
    assert wait is not None
    assert routes.rouse(now + wait)
    routes.rest(ROUTE, "full", now + wait)
    return routes.resting[ROUTE].wait


def test_refused_route_rests_for_half_a_second() -> None:
    routes = Routes()
    assert routes.rest(ROUTE, "full", now=100.0)
    assert routes.next_rouse(100.0) == 0.5
    assert routes.resting[ROUTE].reason == "full"


def test_refusals_under_way_do_not_lengthen_a_rest() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=100.0)
    assert not routes.rest(ROUTE, "full", now=100.3)
    assert routes.resting[ROUTE].until == 100.5


def test_each_rest_in_a_row_is_twice_as_long_up_to_fifteen_seconds() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    assert [rest_again(routes, 0.0) for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_only_the_first_rest_in_a_row_is_news() -> None:
    routes = Routes()
    assert routes.rest(ROUTE, "full", now=0.0)
    routes.rouse(0.5)
    assert not routes.rest(ROUTE, "full", now=0.5)


def test_route_is_tried_again_when_its_rest_is_over_and_not_before() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    assert not routes.rouse(0.499)
    assert ROUTE in routes.resting
    assert routes.rouse(0.5)
    assert not routes.resting


def test_recovery_is_news_once() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    routes.rouse(0.5)
    assert routes.published(ROUTE)
    assert not routes.published(ROUTE)


def test_event_under_way_that_is_taken_ends_the_rest() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    assert routes.published(ROUTE)
    assert routes.next_rouse(0.0) is None


def test_recovered_route_starts_over_with_the_shortest_rest() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    rest_again(routes, 0.0)
    routes.published(ROUTE)
    assert routes.rest(ROUTE, "full", now=10.0)
    assert routes.resting[ROUTE].wait == 0.5


def test_routes_rest_apart() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    routes.rest(OTHER, "sealed", now=0.2)
    assert routes.rouse(0.5)
    assert list(routes.resting) == [OTHER]
    assert not routes.published("acme.never.refused")
    assert routes.published(ROUTE)
    assert list(routes.resting) == [OTHER]


def test_overdue_rest_ends_now() -> None:
    routes = Routes()
    routes.rest(ROUTE, "full", now=0.0)
    assert routes.next_rouse(60.0) == 0.0


def test_nothing_to_rouse_where_nothing_rests() -> None:
    routes = Routes()
    assert routes.next_rouse(0.0) is None
    assert not routes.rouse(0.0)
    assert not routes.published(ROUTE)


def test_route_that_has_nothing_more_to_send_is_forgotten_in_the_end() -> None:
    routes = Routes()
    for number in range(3000):
        routes.rest(f"tenant-{number}.stock.moved", "full", now=float(number))
        routes.rouse(number + 0.5)
    assert len(routes._tried_again) < 700
