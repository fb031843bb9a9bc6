from __future__ import annotations

from datetime import UTC, datetime

import pytest

from outbox_notify.errors import SchemaError
from outbox_notify.schema.migration import Applied, Migration, ordered, packaged, pending
from outbox_notify.schema.script import render_sql

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE one ();\n")
SECOND = Migration(2, "0002_second.sql", "CREATE TABLE two ();\n")
THIRD = Migration(3, "0003_third.sql", "CREATE TABLE three ();\n")


CHECKSUMS = {
    "0001_event_outbox.sql": "a43ca862597964278b3ce67525a9a452f90df57eb1ecbd207c6df9246857fae3",
    "0002_operators.sql": "6f506312ed7d6e5f4c9814d7a7e5351e90a15863d3127bba3508a6350e5c4823",
    "0003_room_in_pages.sql": "5e67b1a58fd6c6d764e649f6ab86f6b4c0b59a9e7b70d8a5c09a364979246341",
    "0004_outbox_emit.sql": "a0fb86e985ebafde50a505f1f0acaf147445bbf404b65a82a3797403d7e53492",
}


def applied(*migrations: Migration) -> dict[int, Applied]:
    now = datetime.now(UTC)
    return {
        one.version: Applied(one.version, one.name, one.checksum, now, "owner", 0.1) for one in migrations
    }


def test_package_brings_migrations_numbered_from_one() -> None:
    versions = [migration.version for migration in packaged()]
    assert versions == list(range(1, len(versions) + 1))
    assert packaged()[0].name == "0001_event_outbox.sql"


def test_released_migrations_are_never_edited() -> None:
    assert {migration.name: migration.checksum for migration in packaged()} == CHECKSUMS


def test_files_are_taken_in_the_order_of_their_numbers() -> None:
    assert ordered([THIRD, FIRST, SECOND]) == (FIRST, SECOND, THIRD)


@pytest.mark.parametrize("files", [[], [SECOND], [FIRST, THIRD], [FIRST, FIRST]])
def test_numbers_with_gaps_or_doubles_are_refused(files: list[Migration]) -> None:
    with pytest.raises(SchemaError, match="numbered 1, 2, 3"):
        ordered(files)


def test_everything_is_pending_in_an_empty_history() -> None:
    assert pending([FIRST, SECOND], {}) == [FIRST, SECOND]


def test_what_was_applied_is_not_pending() -> None:
    assert pending([FIRST, SECOND], applied(FIRST)) == [SECOND]
    assert pending([FIRST, SECOND], applied(FIRST, SECOND)) == []


def test_edited_file_is_refused_with_its_name_and_both_checksums() -> None:
    edited = Migration(1, FIRST.name, FIRST.text + "-- harmless, or so they said\n")
    with pytest.raises(SchemaError) as refusal:
        pending([edited, SECOND], applied(FIRST))
    assert refusal.value.exit_code == 78
    for part in (FIRST.name, FIRST.checksum, edited.checksum):
        assert part in str(refusal.value)


def test_newer_database_is_refused_and_told_to_upgrade_the_package() -> None:
    with pytest.raises(SchemaError, match=r"version 2 .*upgrade the package") as refusal:
        pending([FIRST], applied(FIRST, SECOND))
    assert refusal.value.exit_code == 78


def test_file_left_out_of_the_middle_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"0002_second\.sql was never applied, but version 3 was"):
        pending([FIRST, SECOND, THIRD], applied(FIRST, THIRD))


def test_checksum_does_not_depend_on_the_line_ends_of_a_checkout() -> None:
    assert Migration(1, FIRST.name, FIRST.text.replace("\n", "\r\n")).checksum == FIRST.checksum


def test_only_the_first_line_takes_a_file_out_of_its_transaction() -> None:
    header = "-- outbox-notify: no-transaction\n"
    assert not Migration(1, "0001_x.sql", header + "SELECT 1;").in_transaction
    assert Migration(1, "0001_x.sql", "SELECT 1;\n" + header).in_transaction


def test_statements_end_at_semicolons_that_end_statements() -> None:
    text = """
        -- first; of all
        SELECT ';' AS "a;b" /* not; here */;
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN; RETURN $$;$$; END $body$;
        -- nothing; more
    """
    first, second = Migration(1, "0001_x.sql", text).statements()
    assert first.endswith("/* not; here */")
    assert second.startswith("CREATE FUNCTION")
    assert second.endswith("$body$")


def test_script_holds_every_file_and_its_row_of_the_history() -> None:
    script = render_sql("warehouse", [FIRST, SECOND])
    for migration in (FIRST, SECOND):
        assert migration.text.strip() in script
        assert f"VALUES ({migration.version}, '{migration.name}', '{migration.checksum}');" in script
    assert 'SET search_path TO "warehouse";' in script
    assert script.rstrip().endswith("RESET search_path;")


def test_script_says_where_it_must_be_cut() -> None:
    alone = Migration(
        2, "0002_index.sql", "-- outbox-notify: no-transaction\nCREATE INDEX CONCURRENTLY i ON one (a);"
    )
    assert "cannot run in a transaction" in render_sql("public", [FIRST, alone])
    assert "cannot run in a transaction" not in render_sql("public", [FIRST])
