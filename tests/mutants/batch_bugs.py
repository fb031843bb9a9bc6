"""Bugs in sending many events as one batch: what counts as stored, what goes along, what is sent once more."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_INGEST = "outbox_notify/jetstream/fast_ingest.py"
_SENDING = "outbox_notify/jetstream/sending.py"
_FRAMES = "outbox_notify/jetstream/frames.py"
_LANES = "outbox_notify/relay/lanes.py"
_UNIT = "tests/unit/test_fast_ingest.py"
_SERVER = "tests/integration/test_fast_ingest.py"

BUGS = (
    Bug(
        "count-of-a-batch-ignored",
        (
            Edit(
                _INGEST,
                'count = answer["count"] if self._offered else 0',
                "count = len(batch.tickets) if self._offered else 0",
            ),
        ),
        _SERVER,
        "test_stream_that_is_full_in_the_middle_holds_the_first",
    ),
    Bug(
        "progress-of-a-batch-taken-for-its-end",
        (Edit(_INGEST, 'if answer.get("type") in ("ack", "gap", "err"):', "if False:"),),
        _UNIT,
        "test_progress_is_not_the_end",
    ),
    Bug(
        "batch-of-any-stream-believed",
        (Edit(_INGEST, "checked = stream in self._session.streams and type", "checked = type"),),
        _UNIT,
        "test_wrong_ack_stores_nothing",
    ),
    Bug(
        "ack-of-another-batch-believed",
        (
            Edit(_INGEST, 'about.partition(".")[0] != batch.id or ', ""),
            Edit(_INGEST, 'answer.get("batch") == batch.id', 'answer.get("batch") is not None'),
        ),
        _UNIT,
        "test_late_ack_of_an_earlier_batch_is_not_heard",
    ),
    Bug(
        "batch-goes-on-behind-a-refused-event",
        (Edit(_INGEST, ".{_REPORT_EVERY}.fail.", ".{_REPORT_EVERY}.ok."),),
        _SERVER,
        "test_refused_one_takes_nobody_along",
    ),
    Bug(
        "batch-without-an-end-waited-for",
        (Edit(_INGEST, "                batch.wait_at_most(_PATIENCE)\n", ""),),
        _UNIT,
        "test_batch_without_an_end_is_not_waited_for[False]",
    ),
    Bug(
        "refusal-in-a-batch-not-heard",
        (Edit(_INGEST, "        else:\n            self.doubt()\n", ""),),
        _UNIT,
        "test_batch_without_an_end_is_not_waited_for[True]",
    ),
    Bug(
        "batch-gone-on-with-after-its-lease",
        (Edit(_INGEST, "if batch.ended.is_set() or late(piece):", "if batch.ended.is_set():"),),
        _UNIT,
        "test_batch_is_not_gone_on_with_when_a_lease_has_run_out",
    ),
    Bug(
        "ack-that-was-heard-forgotten",
        (
            Edit(_INGEST, "        if not self.ended.is_set():\n", "        if True:\n"),
            Edit(_INGEST, "batch is None or batch.ended.is_set() or not any", "batch is None or not any"),
        ),
        _UNIT,
        "test_ack_that_was_heard_counts_whatever_comes_next",
    ),
    Bug(
        "rest-of-a-refused-batch-sent-out-of-turn",
        (
            Edit(
                _SENDING,
                "await self._one_by_one.send(first_of_each(load))",
                "await self._one_by_one.send(load)",
            ),
        ),
        _UNIT,
        "test_followers_of_a_refused_one_wait_for_their_turn",
    ),
    Bug(
        "followers-sent-again-though-they-go-along",
        (Edit(_LANES, " and not follower.goes_along", ""),),
        _UNIT,
        "test_lanes_do_not_send_again_what_goes_along",
    ),
    Bug(
        "followers-of-a-refused-batch-never-sent",
        (Edit(_FRAMES, "        ticket.goes_along = False\n", "        pass\n"),),
        "tests/unit/test_frames.py",
        "test_what_is_left_of_a_load_goes_in_turns_again",
    ),
    Bug(
        "event-fails-before-its-turn",
        (
            Edit(
                _FRAMES,
                "                message = self._encoder.encode(follower.event, max_payload)\n",
                "                message = self._message(follower, max_payload)\n"
                "                assert message is not None\n",
            ),
        ),
        "tests/unit/test_frames.py",
        "test_what_cannot_become_a_message_does_not_fail_before_its_turn",
    ),
    Bug(
        "what-was-tried-goes-in-a-batch",
        (Edit(_SENDING, "load = [encoded for encoded in load if not encoded[0].event.tried]", "pass"),),
        _UNIT,
        "test_few_and_what_was_tried_before_go_one_by_one",
    ),
    Bug(
        "batch-sent-where-none-is-offered",
        (Edit(_INGEST, "return self._offered and len", "return len"),),
        _UNIT,
        "test_without_one_stream_that_takes_batches_all_go_one_by_one",
    ),
    Bug(
        "batch-forgotten-when-the-client-fails",
        (
            Edit(
                _SENDING,
                "            left.extend(ticket for ticket, _ in load if not ticket.sent_at)\n",
                "",
            ),
        ),
        _UNIT,
        "test_client_that_fails_in_the_middle_releases_all",
    ),
)
