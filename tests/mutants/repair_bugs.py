"""Bugs in what operators do: replays that repeat, lose or reorder, acts that leave no trace."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_TEST_REPLAY = "tests/integration/test_replay.py"
_TEST_AUDIT = "tests/integration/test_audit.py"
_TEST_PRUNE = "tests/integration/test_prune.py"
_TEST_PAUSE = "tests/integration/test_pause_claims.py"
_TEST_CLAIMER = "tests/unit/test_claimer.py"
_CLAIM = "outbox_notify/sql/claim.sql"

BUGS = (
    Bug(
        "replay-under-the-old-message-id",
        (Edit("outbox_notify/jetstream/messages.py", 'message_id += f";r={self._replay}"', "pass"),),
        _TEST_REPLAY,
        "test_message_is_that_of_the_event_but_for_its_id_and_one_header",
    ),
    Bug(
        "replay-sends-an-aggregate-at-once",
        (
            Edit(
                "outbox_notify/jetstream/resender.py",
                "key = event if event.ordering_key is None else event.ordering_key",
                "key = event",
            ),
        ),
        _TEST_REPLAY,
        "test_event_in_the_middle_that_gets_no_ack_is_overtaken_by_none_of_its_aggregate",
    ),
    Bug(
        "replay-skips-what-got-no-ack",
        (
            Edit(
                "outbox_notify/operations/replaying.py",
                "if event.id not in outcomes:\n            break",
                "if event.id not in outcomes:\n            continue",
            ),
        ),
        _TEST_REPLAY,
        "test_event_in_the_middle_that_gets_no_ack_is_overtaken_by_none_of_its_aggregate",
    ),
    Bug(
        "replay-forgets-what-it-has-sent",
        (
            Edit(
                "outbox_notify/sql/replay_send.sql",
                "SET sent_to = greatest(sent_to, %(to)s::bigint)",
                "SET sent_to = sent_to",
            ),
        ),
        _TEST_REPLAY,
        "test_event_in_the_middle_that_gets_no_ack_is_overtaken_by_none_of_its_aggregate",
    ),
    Bug(
        "replay-counted-by-two",
        (Edit("outbox_notify/sql/replay_step.sql", " AND position = %(position)s::bigint", ""),),
        _TEST_REPLAY,
        "test_two_processes_do_not_go_on_with_one_replay",
    ),
    Bug(
        "replay-has-no-end",
        (
            Edit(
                "outbox_notify/sql/replay_batch.sql",
                "AND published_at <= %(started_at)s::timestamptz",
                "",
            ),
        ),
        _TEST_REPLAY,
        "test_what_is_published_after_the_replay_began_is_not_meant",
    ),
    Bug(
        "act-traced-apart-from-what-it-does",
        (
            Edit(
                "outbox_notify/operations/failed.py",
                "            count = step(batch)\n            act.add(count)\n",
                "            count = step(batch)\n        act.add(count)\n",
            ),
        ),
        _TEST_AUDIT,
        "test_step_that_fails_is_not_counted_and_those_before_it_are",
    ),
    Bug(
        "prune-ends-at-the-first-young-event",
        (
            Edit(
                "outbox_notify/operations/prune.py",
                "after, total = step.go_on_after, total + step.pruned",
                "after, total = None if step.met_young else step.go_on_after, total + step.pruned",
            ),
        ),
        _TEST_PRUNE,
        "test_large_heap_goes_in_batches_past_what_must_stay",
    ),
    Bug(
        "pause-overtaken-within-its-aggregate",
        (Edit(_CLAIM, "WHERE (rests OR paused) AND", "WHERE rests AND"),),
        _TEST_PAUSE,
        "test_later_events_of_an_aggregate_wait_behind_a_paused_one",
    ),
    Bug(
        "pause-forgets-what-comes-due",
        (Edit(_CLAIM, "        AND NOT event_type = ANY((SELECT types FROM pause)::text[])\n", ""),),
        _TEST_PAUSE,
        "test_paused_events_are_left_alone_and_the_others_go",
    ),
    Bug(
        "pause-overtaken-once-its-time-has-come",
        (Edit(_CLAIM, "WHERE (SELECT any_rest FROM pause)", "WHERE false"),),
        _TEST_PAUSE,
        "test_later_events_wait_behind_a_paused_one_whose_time_has_come",
    ),
    Bug(
        "pause-never-ends",
        (Edit(_CLAIM, "    WHERE until IS NULL OR until > statement_timestamp()\n", ""),),
        _TEST_PAUSE,
        "test_pause_that_is_over_holds_nothing",
    ),
    Bug(
        "end-of-a-pause-slept-through",
        (Edit("outbox_notify/relay/claimer.py", " or roused or pause_over:", " or roused:"),),
        _TEST_CLAIMER,
        "test_pause_that_is_over_is_followed_by_a_look_at_the_whole_table",
    ),
    Bug(
        "end-of-a-pause-forgotten-by-the-claim-after-it",
        (
            Edit(
                "outbox_notify/relay/claimer.py",
                "        if claim.pause_ends_in is not None:\n",
                "        self._pause_ends_at = math.inf\n        if claim.pause_ends_in is not None:\n",
            ),
        ),
        _TEST_CLAIMER,
        "test_pause_that_ends_between_two_claims_is_not_forgotten",
    ),
)
