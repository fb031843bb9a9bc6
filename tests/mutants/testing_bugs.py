"""Bugs in what users test their own code with, and in what odd writers and hands rely on."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_TESTING = "outbox_notify/testing"
_EXPECTATIONS = "tests/unit/test_expectations.py"
_ASSERTIONS = "tests/integration/test_testing.py"

BUGS = (
    Bug(
        "expected-values-are-not-compared",
        (Edit(f"{_TESTING}/matching.py", "elif not _same(expected, actual):", "elif False:"),),
        _EXPECTATIONS,
        "test_a_failure_shows_all_that_was_emitted_and_how_it_differs",
    ),
    Bug(
        "keys-that-are-missing-are-not-missed",
        (Edit(f"{_TESTING}/matching.py", 'yield f"{name}.{key} is missing"', "yield from ()"),),
        _EXPECTATIONS,
        "test_a_difference_names_the_place_and_both_values",
    ),
    Bug(
        "one-event-more-is-not-noticed",
        (Edit(f"{_TESTING}/emitted.py", "len(matching) != (", "len(matching) < ("),),
        _ASSERTIONS,
        "test_asynchronous_connections_see_the_same",
    ),
    Bug(
        "disorder-is-not-seen",
        (Edit(f"{_TESTING}/order.py", "if place < latest", "if place > latest"),),
        _EXPECTATIONS,
        "test_what_arrives_behind_a_later_event_of_its_aggregate_violates_the_order",
    ),
    Bug(
        "drain-returns-what-was-there",
        (Edit(f"{_TESTING}/draining.py", "message.sequence > before", "message.sequence >= before"),),
        _ASSERTIONS,
        "test_drain_returns_what_it_has_brought_and_not_what_was_there",
    ),
    Bug(
        "stopped-server-is-not-started-again",
        (Edit(f"{_TESTING}/databases.py", "    server.start()\n", "    pass\n"),),
        _ASSERTIONS,
        "test_a_server_that_a_test_has_ended_or_frozen_runs_again",
    ),
    Bug(
        "event-vanishes-when-its-row-id-is-taken",
        (Edit("outbox_notify/writers/statements.py", '"emit" if all(', '"emit_once" if all('),),
        "tests/integration/test_odd_writers.py",
        "test_an_event_whose_row_id_is_taken_is_refused_and_does_not_vanish",
    ),
    Bug(
        "time-of-creation-is-no-time",
        (
            Edit(
                "outbox_notify/sql/event_columns.sql",
                "least(greatest(created_at, timestamptz '0001-01-01 00:00Z'), timestamptz '9999-12-31 23:59Z')",
                "created_at",
            ),
        ),
        "tests/integration/test_hands.py",
        "test_a_time_of_creation_that_no_calendar_knows_is_still_a_time",
    ),
)
