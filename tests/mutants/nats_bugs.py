"""Bugs on the way to JetStream: what is sent, what counts as an ack, what becomes of a client that is lost."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_JETSTREAM = "outbox_notify/jetstream"
_TEST_MESSAGES = "tests/unit/test_messages.py"
_TEST_PUBLISHER = "tests/integration/test_publisher.py"

BUGS = (
    Bug(
        "new-message-id-for-each-attempt",
        (
            Edit(
                f"{_JETSTREAM}/messages.py",
                "message_id, ends, about, more = event.event_id, _LINES",
                'message_id, ends, about, more = f"{event.event_id}-{event.attempts}", _LINES',
            ),
        ),
        _TEST_MESSAGES,
        "test_message_of_an_event_that_was_tried_before_is_the_same",
    ),
    Bug(
        "subject-not-checked-tenant",
        (Edit(f"{_JETSTREAM}/messages.py", "if not valid_token(tenant_id):", "if not tenant_id:"),),
        _TEST_MESSAGES,
        "test_tenant_that_is_no_token_is_refused",
    ),
    Bug(
        "subject-not-checked-type",
        (Edit(f"{_JETSTREAM}/messages.py", "if not valid_event_type(event_type):", "if not event_type:"),),
        _TEST_MESSAGES,
        "test_event_type_that_is_no_subject_is_refused",
    ),
    Bug(
        "headers-not-checked",
        (Edit(f"{_JETSTREAM}/messages.py", " or _RESERVED.match(name):", ":"),),
        _TEST_MESSAGES,
    ),
    Bug(
        "size-not-checked",
        (Edit(f"{_JETSTREAM}/messages.py", "len(head) + len(event.body) > max_payload:", "False:"),),
        _TEST_MESSAGES,
        "test_message_at_the_limit_passes_and_one_byte_more_is_refused",
    ),
    Bug(
        "any-stream-acknowledges",
        (
            Edit(
                f"{_JETSTREAM}/publisher.py",
                "if isinstance(outcome, Published) and outcome.stream not in ours:",
                "if isinstance(outcome, Published) and not ours:",
            ),
        ),
        _TEST_PUBLISHER,
        "test_t39_no_bad_ack_counts_as_success",
    ),
    Bug(
        "ack-without-a-sequence-counts",
        (Edit(f"{_JETSTREAM}/answers.py", "if sequence <= 0:", "if sequence < 0:"),),
        "tests/unit/test_answers.py",
        "test_only_a_stream_and_a_sequence_above_zero_are_an_ack",
    ),
    Bug(
        "any-answer-is-an-ack",
        (
            Edit(
                f"{_JETSTREAM}/answers.py",
                'return Rested(route, "the answer is not an ack of JetStream")',
                'return Published("OUTBOX", 1)',
            ),
        ),
        "tests/unit/test_answers.py",
        "test_no_noise_is_an_ack",
    ),
    Bug(
        "client-not-replaced-after-it-closed",
        (
            Edit(
                f"{_JETSTREAM}/publisher.py",
                "while not self._lost.is_set() and session.client.alive:",
                "while not self._lost.is_set():",
            ),
            Edit(
                f"{_JETSTREAM}/publisher.py",
                "already.\n            lost.set()\n",
                "already.\n            pass\n",
            ),
        ),
        _TEST_PUBLISHER,
        "test_what_a_killed_server_did_not_answer_is_released_and_a_new_client_takes_over",
    ),
    Bug(
        "password-told-without-tls",
        (Edit(f"{_JETSTREAM}/guarded.py", 'if "tls" in self.options and not self._encrypted:', "if False:"),),
        "tests/faults/test_nats_tls.py",
        "test_t57_a_server_without_tls_is_told_nothing",
    ),
    Bug(
        "error-of-the-library-ends-the-relay",
        (Edit(f"{_JETSTREAM}/session.py", "    except Exception as error:", "    except OSError as error:"),),
        "tests/integration/test_nats_hangs_up.py",
    ),
    Bug(
        "flood-counts-attempts",
        (
            Edit(
                "outbox_notify/relay/retry.py",
                "    10167,  # too many requests",
                "    # 10167,  too many requests",
            ),
        ),
        "tests/unit/test_retry.py",
    ),
    Bug(
        "attempts-counted-when-the-connection-is-lost",
        (
            Edit(
                f"{_JETSTREAM}/publisher.py",
                "                self._on_outcome(ticket, Released(reason))\n",
                "                self._on_outcome(ticket, Retry(reason))\n",
            ),
            Edit(f"{_JETSTREAM}/publisher.py", "Released, Rested\n", "Released, Rested, Retry\n"),
        ),
        _TEST_PUBLISHER,
        "test_what_a_killed_server_did_not_answer_is_released_and_a_new_client_takes_over",
    ),
    Bug(
        "attempts-counted-while-there-is-no-leader",
        (
            Edit(
                "outbox_notify/relay/retry.py",
                "    if code in _NOBODY:\n        return Released(reason)\n",
                "",
            ),
        ),
        "tests/unit/test_retry.py",
    ),
    Bug(
        "missing-answer-taken-for-not-sent",
        (
            Edit(
                f"{_JETSTREAM}/publisher.py",
                "                self._on_outcome(ticket, Released(_NO_ANSWER))\n",
                "                self._on_outcome(ticket, Failed(_NO_ANSWER))\n",
            ),
        ),
        _TEST_PUBLISHER,
        "test_t34_frozen_server_holds_nobody_up_and_a_new_client_takes_over",
    ),
)
