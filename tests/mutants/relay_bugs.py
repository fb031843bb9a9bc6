"""Bugs in the flow of the relay: what it remembers, when it looks, in which order it writes things down."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_RELAY = "outbox_notify/relay"
_TEST_FRONTIER = "tests/unit/test_frontier.py"

BUGS = (
    Bug(
        "mark-before-publish",
        (
            Edit(
                f"{_RELAY}/delivery.py",
                "            await self._wait_for_answers(batch)\n            await self._settle(batch)\n",
                "            await self._outbox.settle(batch.token, {ticket.event: Published('', 1) for ticket in"
                " batch.tickets})\n"
                "            await self._wait_for_answers(batch)\n            await self._settle(batch)\n",
            ),
            Edit(f"{_RELAY}/delivery.py", "import Failed, Outcome,", "import Failed, Outcome, Published,"),
        ),
        "tests/unit/test_delivery.py",
        "test_nothing_is_written_before_it_is_answered",
    ),
    Bug(
        "no-sweep-of-expired-leases",
        (Edit(f"{_RELAY}/sweeper.py", "                await self._reclaim()\n", ""),),
        "tests/unit/test_sweeper.py",
        "test_reclaimed_events_are_told_and_looked_for",
    ),
    Bug(
        "no-look-at-the-whole-table",
        (Edit(f"{_RELAY}/claimer.py", " or began >= self._whole_look_at or roused", " or roused"),),
        "tests/unit/test_claimer.py",
        "test_whole_table_is_looked_at_once_a_sweep_interval",
    ),
    Bug(
        "reclaimed-events-not-looked-for",
        (Edit(f"{_RELAY}/sweeper.py", "                self._on_reclaimed(found.lowest)\n", ""),),
        "tests/unit/test_sweeper.py",
        "test_reclaimed_events_are_told_and_looked_for",
    ),
    Bug(
        "floor-does-not-wait-for-open-transactions",
        (
            Edit(
                f"{_RELAY}/late_commits.py",
                "for writer in transactions.running\n",
                "for writer in transactions.running[:0]\n",
            ),
        ),
        "tests/unit/test_late_commits.py",
    ),
    Bug(
        "floor-does-not-wait-for-transactions-that-no-snapshot-lists",
        (
            Edit(
                f"{_RELAY}/late_commits.py",
                "self.unlisted_from = None if all_listed else self._drawn_from(transactions.horizon)",
                "self.unlisted_from = None",
            ),
            Edit(
                f"{_RELAY}/late_commits.py",
                "        all_listed = transactions.own == transactions.horizon\n",
                "",
            ),
        ),
        "tests/unit/test_late_commits.py",
    ),
    Bug(
        "abandoned-leases-ignored",
        (Edit(f"{_RELAY}/leases.py", "return [*self.foreign, *self.abandoned]", "return self.foreign"),),
        "tests/unit/test_claimer.py",
        "test_lease_whose_outcomes_could_not_be_written_holds_its_aggregates",
    ),
    Bug(
        "walk-never-lowered",
        (
            Edit(
                f"{_RELAY}/frontier.py",
                "        if self.walk is not None:\n            self.walk.lower(first)\n",
                "",
            ),
        ),
        _TEST_FRONTIER,
        "test_walk_goes_back_for_what_it_has_passed_over_itself",
    ),
    Bug(
        "passed-over-events-forgotten",
        (
            Edit(
                f"{_RELAY}/frontier.py",
                "        reached = self.at.remember(scan)\n",
                "        reached = scan.frontier\n",
            ),
        ),
        _TEST_FRONTIER,
        "test_key_that_was_passed_over_is_remembered_until_an_event_of_it_is_settled",
    ),
    Bug(
        "what-came-back-is-not-looked-for",
        (
            Edit(
                f"{_RELAY}/claimer.py",
                "        if returned:\n            self._frontier.lower(min(returned))\n",
                "",
            ),
        ),
        "tests/unit/test_claimer.py",
        "test_what_came_back_is_looked_for_at_its_place_at_once",
    ),
    Bug(
        "next-event-sent-before-the-ack-of-the-one-before",
        (Edit(f"{_RELAY}/lanes.py", "        return ahead is None\n", "        return True\n"),),
        "tests/unit/test_lanes.py",
        "test_only_the_first_of_each_aggregate_is_free",
    ),
    Bug(
        "failed-event-lets-others-pass-before-that-is-written",
        (
            Edit(
                f"{_RELAY}/lanes.py",
                "return not outcome.counted and not self._block",
                "return not self._block",
            ),
        ),
        "tests/unit/test_lanes.py",
        "test_event_that_jetstream_refused_lets_the_rest_pass_once_that_is_written",
    ),
    Bug(
        "followers-of-a-returned-event-go-on",
        (
            Edit(
                f"{_RELAY}/lanes.py",
                "        while follower is not None and follower.outcome is None:\n"
                "            follower.resolve(_behind(ticket))\n",
                "        while False and follower is not None and follower.outcome is None:\n"
                "            follower.resolve(_behind(ticket))\n",
            ),
        ),
        "tests/unit/test_delivery.py",
        "test_followers_of_what_did_not_get_through_are_given_back_unsent",
    ),
    Bug(
        "sent-although-the-lease-has-run-out",
        (
            Edit(
                f"{_RELAY}/delivery.py",
                " >= ticket.batch.expires_at:",
                " >= ticket.batch.expires_at + 3600:",
            ),
        ),
        "tests/unit/test_delivery.py",
        "test_event_whose_lease_has_run_out_is_not_sent",
    ),
    Bug(
        "later-answer-overrules-the-first",
        (
            Edit(
                f"{_RELAY}/delivery.py",
                "        if ticket.outcome is not None:\n            return\n        self._note(",
                "        self._note(",
            ),
        ),
        "tests/unit/test_delivery.py",
        "test_answer_that_comes_too_late_changes_nothing",
    ),
    Bug(
        "attempts-without-end",
        (
            Edit(
                f"{_RELAY}/delivery.py",
                "isinstance(outcome, Retry) and ticket.event.attempts + 1 >= self._max_attempts",
                "isinstance(outcome, Retry) and ticket.event.attempts + 1 >= self._max_attempts + 1000",
            ),
        ),
        "tests/unit/test_delivery.py",
        "test_counted_failure_is_retried_until_the_last_attempt_fails_the_event",
    ),
    Bug(
        "settling-not-tried-again",
        (
            Edit(
                f"{_RELAY}/settling.py",
                " >= batch.expires_at and not (outcomes and is_outage):",
                " >= 0:",
            ),
        ),
        "tests/unit/test_delivery.py",
        "test_settling_that_fails_is_tried_again_and_nothing_is_published_again_for_it",
    ),
    Bug(
        "claims-go-on-while-outcomes-cannot-be-written",
        (Edit(f"{_RELAY}/settling.py", "                self._hold_up_claims(batch)\n", ""),),
        "tests/unit/test_delivery.py",
        "test_claims_wait_while_outcomes_cannot_be_written",
    ),
    Bug(
        "freeze-taken-for-the-price-of-a-look",
        (Edit(f"{_RELAY}/claimer.py", "return min(ended - began, _LONGEST_LOOK)", "return ended - began"),),
        "tests/unit/test_claimer.py",
        "test_time_that_a_relay_was_frozen_in_a_claim_is_not_the_cost_of_its_look",
    ),
)
