"""Bugs in what the migrations make for writers, and in what other migration tools are given."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_FUNCTION = "migrations/0004_outbox_emit.sql"
_TEST_FUNCTION = "tests/integration/test_outbox_emit.py"
_ANY_PATH = "test_role_that_may_only_insert_may_call_under_any_search_path[pg18]"
_SCRIPT = "outbox_notify/schema/script.py"
_TEST_SCRIPT = "tests/integration/test_export.py"

BUGS = (
    Bug(
        "function-inserts-into-another-outbox",
        (Edit(_FUNCTION, "INSERT INTO %1$I.event_outbox", "INSERT INTO event_outbox"),),
        _TEST_FUNCTION,
        _ANY_PATH,
    ),
    Bug(
        "function-asks-for-somebody-elses-time",
        (Edit(_FUNCTION, "pg_catalog.now()", "now()"),),
        _TEST_FUNCTION,
        _ANY_PATH,
    ),
    Bug(
        "function-fails-when-called-again",
        (Edit(_FUNCTION, "            ON CONFLICT DO NOTHING;", "            ;"),),
        _TEST_FUNCTION,
        "test_known_event_id_does_nothing_and_is_returned[pg18]",
    ),
    Bug(
        "function-takes-no-lock",
        (Edit(_FUNCTION, "IF serialize THEN", "IF false THEN"),),
        _TEST_FUNCTION,
        "test_serialized_calls_wait_for_each_other[pg18]",
    ),
    Bug(
        "exported-file-keeps-the-search-path",
        (Edit(_SCRIPT, "_record(schema, migration), _LEAVE]", "_record(schema, migration)]"),),
        _TEST_SCRIPT,
        "test_flyway_files_in_their_order_make_what_migrate_up_makes[public-pg18]",
    ),
    Bug(
        "what-was-taken-back-counts-as-applied",
        (Edit(_SCRIPT, "*[forget] * (migration.version > 1), ", ""),),
        _TEST_SCRIPT,
        "test_what_was_taken_back_is_pending[pg18]",
    ),
    Bug(
        "taking-back-loses-events",
        (Edit("migrations/undo/0001_event_outbox.sql", "status <> 'published'", "false"),),
        _TEST_SCRIPT,
        "test_no_event_goes_that_was_not_published[pg18]",
    ),
)
