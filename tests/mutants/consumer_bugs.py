"""Bugs in the consumer's side: what it loses, repeats, mixes up, or does not let go of."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_CONSUMER = "outbox_notify/consumer"
_SERVER = "tests/integration/test_consumer.py"
_RULES = "tests/unit/test_consumer_parts.py"
_INBOX = "tests/integration/test_inbox.py"
_ONCE = "tests/acceptance/test_consumer_once.py"
_DEATHS = (
    "test_each_event_has_its_effect_once_through_deaths_in_the_handler_after_its_commit_and_a_full_replay"
)

BUGS = (
    Bug(
        "inbox-knows-deliveries-not-events",
        (
            Edit("outbox_notify/inbox/note.py", "_uuid(event_id)}", "uuid4()}"),
            Edit("outbox_notify/inbox/note.py", "import UUID", "import UUID, uuid4"),
        ),
        _ONCE,
        _DEATHS,
    ),
    Bug(
        "acked-before-it-is-handled",
        (
            Edit(
                f"{_CONSUMER}/worker.py",
                "            outcome = await self._outcome(held)\n",
                "            await self._answer(held, Done())\n            outcome = await self._outcome(held)\n",
            ),
        ),
        _ONCE,
        _DEATHS,
    ),
    Bug(
        "inbox-without-a-transaction",
        (Edit("outbox_notify/inbox/psycopg.py", "if connection.autocommit and", "if connection.closed and"),),
        _INBOX,
        "test_without_a_transaction_that_holds_the_effect_nothing_is_noted",
    ),
    Bug(
        "inbox-of-sqlalchemy-without-a-transaction",
        (Edit("outbox_notify/inbox/sqlalchemy.py", '"autocommit", False)', '"autobegin", False)'),),
        _INBOX,
        "test_without_a_transaction_of_asyncpg_nothing_is_noted_either",
    ),
    Bug(
        "one-inbox-for-all-consumers",
        (
            Edit(
                "outbox_notify/sql/inbox_table.sql",
                "PRIMARY KEY (consumer, event_id)",
                "PRIMARY KEY (event_id)",
            ),
        ),
        _INBOX,
        "test_an_event_is_new_once_for_each_consumer_unless_its_transaction_is_rolled_back",
    ),
    Bug(
        "prune-ends-after-a-batch",
        (
            Edit(
                "outbox_notify/inbox/pruning.py",
                "while deleted == _ROWS:",
                "while deleted > _ROWS:",
                everywhere=True,
            ),
        ),
        _INBOX,
        "test_pruning_forgets_what_is_old_in_batches_and_nothing_else",
    ),
    Bug(
        "aggregate-does-not-wait",
        (Edit(f"{_CONSUMER}/worker.py", "await held.before.wait()", "pass"),),
        _SERVER,
        "test_side_by_side_an_aggregate_waits_for_its_event_that_fails_and_others_do_not",
    ),
    Bug(
        "more-than-one-out-at-a-time",
        (Edit(f"{_CONSUMER}/consume.py", "(1 if concurrency == 1 else _PENDING)", "_PENDING"),),
        _SERVER,
        "test_one_that_fails_is_tried_again_and_later_ones_wait",
    ),
    Bug(
        "tried-again-at-once",
        (Edit(f"{_CONSUMER}/outcomes.py", "self.first * 2.0 **", "0 * 2.0 **"),),
        _SERVER,
        "test_waits_between_attempts_grow",
    ),
    Bug(
        "rejection-is-forgotten-when-nobody-could-be-told",
        (
            Edit(
                f"{_CONSUMER}/attempts.py",
                "return _failed(message, self.patience.again(error, message.deliveries))",
                "_failed(message, self.patience.again(error, message.deliveries))",
            ),
        ),
        _SERVER,
        "test_a_rejection_that_nobody_could_be_told_of_comes_again",
    ),
    Bug(
        "strangers-reach-the-handler",
        (Edit(f"{_CONSUMER}/attempts.py", "message.event_id  # noqa", "message.body  # noqa"),),
        _SERVER,
        "test_a_message_without_any_header_and_one_without_json_are_rejected",
    ),
    Bug(
        "long-handlers-lose-their-message",
        (Edit(f"{_CONSUMER}/worker.py", "anyio.sleep(self._ack_wait / 3)", "anyio.sleep_forever()"),),
        _SERVER,
        "test_a_long_handler_shows_signs_of_life",
    ),
    Bug(
        "answers-are-not-said-again",
        (Edit(f"{_CONSUMER}/worker.py", "            await link.tell(reply, word)\n", "            pass\n"),),
        _SERVER,
        "test_it_goes_on_where_it_was_when_nats_has_been_restarted",
    ),
    Bug(
        "stop-keeps-what-it-has",
        (Edit(f"{_CONSUMER}/outcomes.py", 'word = b"-NAK"', 'word = b"+WPI"'),),
        _SERVER,
        "test_a_stop_lets_handlers_end_and_gives_the_rest_back_at_once",
    ),
    Bug(
        "cancelled-keeps-what-it-has",
        (Edit(f"{_CONSUMER}/worker.py", "            await self._tell(held, outcome.word)\n", ""),),
        _SERVER,
        "test_a_consumer_that_is_cancelled_gives_its_message_back",
    ),
    Bug(
        "expired-requests-are-not-made-again",
        (Edit(f"{_CONSUMER}/link.py", "await self.ask_for(left)", "await self.ask_for(0)"),),
        _SERVER,
        "test_it_asks_again_when_a_request_has_expired",
    ),
    Bug(
        "log-tells-what-an-error-says",
        (
            Edit(
                f"{_CONSUMER}/outcomes.py",
                "return Failed(type(error).__qualname__",
                "return Failed(repr(error)",
            ),
        ),
        _SERVER,
        "test_no_line_of_the_log_tells_what_an_error_says",
    ),
    Bug(
        "headers-stay-encoded",
        (Edit(f"{_CONSUMER}/message.py", "unquote(value) if", "value if"),),
        _RULES,
        "test_every_id_of_an_aggregate_arrives_as_it_was_written",
    ),
    Bug(
        "first-copy-takes-the-second-along",
        (Edit(f"{_CONSUMER}/in_hand.py", "if self._held.get(held.message.sequence) is held:", "if held:"),),
        _RULES,
        "test_one_that_comes_again_after_its_answer_is_new_and_outlives_the_first",
    ),
)
