"""Bugs in how a relay is watched: it looks well when it is not, or whoever watches can harm it."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_HEALTH = "outbox_notify/observability/health.py"
_TEST_HEALTH = "tests/unit/test_health.py"
_TEST_HTTP = "tests/integration/test_http.py"

BUGS = (
    Bug(
        "ready-while-nothing-gets-through",
        (Edit(_HEALTH, "if waiting > self._patience:", "if waiting > 1e9:"),),
        _TEST_HEALTH,
        "test_due_events_of_which_none_gets_through_are_told_after_a_while",
    ),
    Bug(
        "unready-for-events-that-wait-rightly",
        (Edit(_HEALTH, "-math.inf if self._resting() else self._found_nothing_at", "-math.inf"),),
        _TEST_HEALTH,
        "test_events_that_no_claim_may_take_are_no_alarm",
    ),
    Bug(
        "cancelled-call-taken-for-an-answer",
        (
            Edit(
                "outbox_notify/observability/watched.py",
                "            raise\n        # A call that was cancelled was not answered: nothing is known of it.\n"
                "        self._asked(operation, began, None)\n",
                "            raise\n        finally:\n            self._asked(operation, began, None)\n",
            ),
        ),
        "tests/unit/test_watched.py",
        "test_call_that_is_cancelled_says_nothing_about_the_server",
    ),
    Bug(
        "label-without-bound",
        (
            Edit(
                "outbox_notify/observability/tally.py",
                "return value if value in known or len(known) < MOST_VALUES else OTHER",
                "return value if len(known) >= 0 * MOST_VALUES else OTHER",
            ),
        ),
        "tests/unit/test_meter.py",
        "test_no_label_grows_without_end",
    ),
    Bug(
        "slow-clients-stay-for-ever",
        (
            Edit(
                "outbox_notify/http/server.py",
                "self._end = self.loop.call_later(LONGEST, transport.abort)",
                "self._end = self.loop.call_later(LONGEST + 3600, transport.abort)",
            ),
        ),
        _TEST_HTTP,
        "test_client_that_does_not_finish_is_cut_off",
    ),
    Bug(
        "signals-taken-by-the-web-server",
        (
            Edit(
                "outbox_notify/http/server.py", "    def capture_signals(self)", "    def leave_signals(self)"
            ),
        ),
        _TEST_HTTP,
        "test_signals_stay_with_the_relay",
    ),
    Bug(
        "status-for-everybody",
        (
            Edit(
                "outbox_notify/http/app.py",
                'Route("/status", answers.guarded(answers.status))',
                'Route("/status", answers.status)',
            ),
        ),
        _TEST_HTTP,
        "test_numbers_and_reasons_are_for_those_who_log_in",
    ),
    Bug(
        "look-that-hangs-is-waited-for",
        (Edit("outbox_notify/operations/lookout.py", "        self._cut()\n        raise", "        raise"),),
        "tests/integration/test_lookout.py",
        "test_connection_that_is_dead_for_good_is_given_up",
    ),
)
