"""Bugs in `doctor`: it praises what is broken, cries over what is well, or does harm by looking."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_ROOM = "outbox_notify/operations/doctor"
_TEST_NATS = "tests/integration/test_doctor_nats.py"
_TEST_POSTGRES = "tests/integration/test_doctor_postgres.py"
_TEST_COMMAND = "tests/acceptance/test_doctor.py"
_INSPECTION = "outbox_notify/jetstream/inspection.py"

BUGS = (
    Bug(
        "doctor-publishes-an-event",
        (
            Edit(
                _INSPECTION,
                '{"Nats-Expected-Stream": f"none-{secrets.token_hex(8)}", "Outbox-Doctor": "not an event"}',
                '{"Outbox-Doctor": f"not an event {secrets.token_hex(8)}"}',
            ),
        ),
        _TEST_NATS,
        "test_probe_is_stored_by_no_stream",
    ),
    Bug(
        "doctor-takes-silence-for-permission",
        (
            Edit(
                _INSPECTION,
                "    except OutboxError as error:\n        return str(error)\n",
                "    except OutboxError:\n        return None\n",
            ),
        ),
        _TEST_NATS,
        "test_right_that_is_missing_is_named_at_once",
    ),
    Bug(
        "doctor-waits-for-answers-that-it-may-not-hear",
        (
            Edit(
                "outbox_notify/jetstream/questions.py",
                "if self._deaf is not None:",
                "if self._deaf is None and False:",
            ),
        ),
        _TEST_NATS,
        "test_right_that_is_missing_is_named_at_once",
    ),
    Bug(
        "doctor-forgets-a-right-of-the-relay",
        (Edit("outbox_notify/sql/doctor_rights.sql", "            'pg_current_xact_id()',\n", ""),),
        _TEST_POSTGRES,
        "test_rights_are_those_of_the_roles_file",
    ),
    Bug(
        "doctor-reads-the-whole-table",
        (
            Edit(
                "outbox_notify/sql/doctor_begin.sql", "    set_config('enable_indexscan', 'on', true),\n", ""
            ),
        ),
        _TEST_POSTGRES,
        "test_events_are_sought_by_index_whatever_the_database_is_set_to",
    ),
    Bug(
        "doctor-leaves-placeholders-in-its-advice",
        (Edit(f"{_ROOM}/looking.py", "query(name, self.schema), {})", "query(name, self.schema))"),),
        _TEST_POSTGRES,
        "test_rights_that_a_relay_lacks_are_named_with_their_grants",
    ),
    Bug(
        "doctor-looks-at-nothing-behind-a-dead-database",
        (
            Edit(
                f"{_ROOM}/examination.py",
                "*patient.database(), *messaging(settings, patient.events)]",
                "*patient.database(), *(messaging(settings, patient.events) if patient.events.routes else ())]",
            ),
        ),
        _TEST_COMMAND,
        "test_server_that_is_away_is_a_fail_beside_the_rows_of_the_others",
    ),
    Bug(
        "doctor-fails-for-a-warning",
        (
            Edit(
                "outbox_notify/cli/doctor.py",
                "if worst(findings) == Level.FAIL:",
                "if worst(findings) != Level.OK:",
            ),
        ),
        _TEST_COMMAND,
        "test_good_set_up_has_nothing_to_say_but_that_there_is_one_nats",
    ),
    Bug(
        "doctor-stops-waiting-at-once",
        (
            Edit(
                f"{_ROOM}/examination.py",
                "time.monotonic() + _PAUSE > deadline",
                "time.monotonic() + _PAUSE > 0",
            ),
        ),
        _TEST_COMMAND,
        "test_it_waits_for_servers_that_start_later",
    ),
)
