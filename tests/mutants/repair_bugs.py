"""Bugs in what operators do: replays that repeat, lose or reorder, acts that leave no trace."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_TEST_REPLAY = "tests/integration/test_replay.py"
_TEST_AUDIT = "tests/integration/test_audit.py"
_TEST_PRUNE = "tests/integration/test_prune.py"

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
)
