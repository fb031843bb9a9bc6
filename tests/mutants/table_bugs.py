"""Bugs in the statements on the table, and in how they are sent."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_SQL = "outbox_notify/sql"
_CLAIM = f"{_SQL}/claim.sql"
_TEST_CLAIM = "tests/integration/test_claim.py"
_TEST_SETTLE = "tests/integration/test_settle.py"
_FENCE = " AND status = 'in_progress' AND lease_token = %(token)s::uuid"


def _no_fence(outcome: str, kind: str) -> Bug:
    """Return the bug that a relay writes one kind of outcome whoever has the lease."""
    return Bug(
        f"no-fence-{kind}",
        (Edit(f"{_SQL}/settle_{kind}.sql", _FENCE, " AND status = 'in_progress'"),),
        _TEST_SETTLE,
        f"test_t15_outcome_of_a_relay_that_was_overtaken_changes_nothing[{outcome}-pg18]",
    )


BUGS = (
    _no_fence("Published", "published"),
    _no_fence("Retry", "retried"),
    _no_fence("Released", "released"),
    _no_fence("Failed", "failed"),
    Bug(
        "no-fence-deleted",
        (Edit(f"{_SQL}/settle_deleted.sql", _FENCE, " AND status = 'in_progress'"),),
        _TEST_SETTLE,
        "test_deleting_is_fenced_too",
    ),
    Bug(
        "failed-report-overtakes-published",
        (Edit(f"{_SQL}/settle_failed.sql", _FENCE, ""),),
        _TEST_SETTLE,
        "test_t15_outcome_of_a_relay_that_was_overtaken_changes_nothing[Failed-pg18]",
    ),
    Bug(
        "unreadable-event-stops-every-claim",
        (
            Edit(
                "outbox_notify/postgres/storage.py",
                "            if not may_be_a_body(error):\n                raise\n",
                "            raise\n",
            ),
        ),
        "tests/faults/test_unreadable.py",
        "test_event_that_is_no_text_fails_and_the_others_flow[2]",
    ),
    Bug(
        "recovery-without-a-start-not-noticed",
        (Edit(f"{_SQL}/claim_begin.sql", ", pg_stat_get_bgwriter_stat_reset_time()", ""),),
        "tests/faults/test_postgres_crashes.py",
        "test_server_that_has_recovered_from_a_crash_is_another_one[pg18]",
    ),
    Bug(
        "claim-without-materialized",
        (Edit(_CLAIM, " AS MATERIALIZED (", " AS NOT MATERIALIZED (", everywhere=True),),
        "tests/integration/test_claim_plans.py",
        "test_t19_defaults_that_mislead_the_planner_change_neither_what_is_claimed_nor_how[pg18]",
    ),
    Bug(
        "token-drawn-for-each-row",
        (
            Edit(
                _CLAIM,
                "lease_token = (SELECT value FROM token)",
                "lease_token = encode(int8send(nextval('{schema}.event_outbox_lease_seq'))"
                " || substring(uuid_send(gen_random_uuid()) FROM 9), 'hex')::uuid",
            ),
        ),
        _TEST_CLAIM,
        "test_claimed_event_carries_its_lease",
    ),
    Bug(
        "claim-takes-more-than-a-batch",
        (Edit(_CLAIM, "row = 1 OR (row <= %(rows)s::bigint AND large", "row = 1 OR (large"),),
        _TEST_CLAIM,
        "test_oldest_events_are_claimed_first_and_no_more_than_a_batch",
    ),
    Bug(
        "claim-orders-each-batch-by-chance",
        (Edit(f"{_SQL}/read_bodies.sql", "ORDER BY lease_token, id", "ORDER BY event_id"),),
        _TEST_CLAIM,
        "test_events_are_read_in_write_order_wherever_their_rows_lie",
    ),
    Bug(
        "earlier-events-not-looked-at",
        (Edit(_CLAIM, " AND NOT paused AND NOT held", " AND NOT paused"),),
        _TEST_CLAIM,
        "test_event_waits_while_an_earlier_one_of_its_aggregate_is_in_another_relays_hands",
    ),
    Bug(
        "earlier-events-looked-at-for-the-first-of-a-key-only",
        (
            Edit(
                _CLAIM,
                "ordering_key IN (SELECT ordering_key FROM held_key) AS held",
                "ordering_key IN (SELECT ordering_key FROM held_key) AND NOT EXISTS (SELECT"
                " FROM {schema}.event_outbox AS earlier WHERE earlier.status = 'pending'"
                " AND earlier.ordering_key = event_outbox.ordering_key AND earlier.id < event_outbox.id) AS held",
            ),
        ),
        _TEST_CLAIM,
        "test_every_event_behind_one_in_another_relays_hands_waits",
    ),
    Bug(
        "only-the-first-event-behind-a-returned-one-waits",
        (
            Edit(
                _CLAIM,
                "candidate.id < barrier.id\n",
                "candidate.id < barrier.id OR EXISTS (SELECT FROM candidate AS before"
                " WHERE before.ordering_key = candidate.ordering_key AND before.id > barrier.id"
                " AND before.id < candidate.id)\n",
            ),
        ),
        _TEST_CLAIM,
        "test_every_event_behind_one_that_came_back_waits",
    ),
    Bug(
        "turn-taken-inside-the-claim",
        (
            Edit(
                f"{_SQL}/claim_begin.sql",
                "pg_advisory_xact_lock(wake.lock_k1 + 1, wake.lock_k2) AS turn",
                "true AS turn",
            ),
            Edit(
                _CLAIM,
                "    FROM unnest(%(running)s",
                "    FROM (SELECT pg_advisory_xact_lock(wake.lock_k1 + 1, wake.lock_k2)"
                " FROM {schema}.event_outbox_wake() AS wake OFFSET 0) AS turn CROSS JOIN unnest(%(running)s",
            ),
            Edit(
                _CLAIM,
                "WHERE pg_visible_in_snapshot(writer.transaction",
                "WHERE turn IS NOT NULL AND pg_visible_in_snapshot(writer.transaction",
            ),
        ),
        _TEST_CLAIM,
        "test_claims_take_turns",
    ),
    Bug(
        "no-turns",
        (
            Edit(
                f"{_SQL}/claim_begin.sql",
                "pg_advisory_xact_lock(wake.lock_k1 + 1, wake.lock_k2) AS turn",
                "true AS turn",
            ),
        ),
        _TEST_CLAIM,
        "test_claims_take_turns",
    ),
    Bug(
        "scan-does-not-go-back-for-late-commits",
        (Edit(_CLAIM, "least(%(start)s::bigint, min(writer.first))", "%(start)s::bigint"),),
        _TEST_CLAIM,
        "test_claim_starts_where_a_transaction_that_has_ended_may_have_drawn_ids",
    ),
    Bug(
        "lease-by-the-clock-of-the-relay",
        (
            Edit(_CLAIM, "lease_until = clock_timestamp()", "lease_until = to_timestamp(%(now)s::float8)"),
            Edit(
                "outbox_notify/postgres/storage.py",
                "opening}",
                'opening, "now": __import__("time").time()}',
            ),
        ),
        "tests/integration/test_relay_clock.py",
        "test_t18_lease_lasts_by_the_clock_of_the_database",
    ),
    Bug(
        "expiry-by-the-clock-of-the-relay",
        (
            Edit(f"{_SQL}/reclaim.sql", "clock_timestamp()", "to_timestamp(%(now)s::float8)"),
            Edit(
                "outbox_notify/postgres/storage.py",
                '"reclaim", rows=rows,',
                '"reclaim", now=__import__("time").time(), rows=rows,',
            ),
        ),
        "tests/integration/test_relay_clock.py",
        "test_t18_lease_runs_out_by_the_clock_of_the_database",
    ),
    Bug(
        "claims-not-durable",
        (Edit(f"{_SQL}/claim.sql", "ELSE 'local' END", "ELSE 'off' END"),),
        "tests/faults/test_durability.py",
        "test_t68_nothing_is_published_that_a_crash_undoes",
    ),
    Bug(
        "retry-under-a-new-message-id",
        (
            Edit(
                f"{_SQL}/settle_retried.sql",
                "SET status = 'pending',",
                "SET status = 'pending', event_id = gen_random_uuid(),",
            ),
        ),
        _TEST_SETTLE,
        "test_no_outcome_changes_the_message_id",
    ),
    Bug(
        "release-under-a-new-message-id",
        (
            Edit(
                f"{_SQL}/settle_released.sql",
                "SET status = 'pending',",
                "SET status = 'pending', event_id = gen_random_uuid(),",
            ),
        ),
        _TEST_SETTLE,
        "test_no_outcome_changes_the_message_id",
    ),
    Bug(
        "release-counts-an-attempt",
        (
            Edit(
                f"{_SQL}/settle_released.sql",
                "SET status = 'pending',",
                "SET status = 'pending', attempts = attempts + 1,",
            ),
        ),
        _TEST_SETTLE,
        "test_released_event_goes_back_to_its_place_with_no_attempt_counted",
    ),
    Bug(
        "requeue-under-a-new-message-id",
        (
            Edit(
                "outbox_notify/operations/failed.py",
                "new_event_id() if new_ids else None",
                "new_event_id()",
            ),
        ),
        "tests/integration/test_failed.py",
        "test_requeued_event_takes_its_old_place_under_its_old_message_id",
    ),
    Bug(
        "event-that-crashes-relays-never-fails",
        (Edit(f"{_SQL}/reclaim.sql", "claims > %(max_claims)s::int", "false AND %(max_claims)s::int > 0"),),
        _TEST_SETTLE,
        "test_t20_event_that_was_claimed_too_often_without_an_outcome_fails",
    ),
    Bug(
        "pruning-takes-what-was-not-published",
        (
            Edit(
                f"{_SQL}/prune.sql",
                "WHERE status = 'published' AND published_at < now()",
                "WHERE created_at < now()",
            ),
            Edit(f"{_SQL}/prune.sql", "        AND status = 'published'\n", ""),
        ),
        _TEST_SETTLE,
        "test_only_published_events_past_retention_are_pruned",
    ),
    Bug(
        "transaction-sent-statement-by-statement",
        (
            Edit(
                "outbox_notify/postgres/transaction.py",
                "        await cursor.execute(message.encode())\n",
                "        rows = []\n"
                '        for part in message.encode().split(b";\\n"):\n'
                "            await cursor.execute(part)\n"
                "            if cursor.description:\n"
                "                rows.append(await cursor.fetchone())\n"
                "        return rows\n",
            ),
        ),
        "tests/integration/test_transaction.py",
        "test_transaction_never_waits_for_the_relay",
    ),
)
