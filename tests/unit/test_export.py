from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from outbox_notify.errors import OutboxError
from outbox_notify.schema.export.alembic import Alembic, _unbound
from outbox_notify.schema.export.django import Django
from outbox_notify.schema.export.exporting import Tool, export
from outbox_notify.schema.export.flyway import Flyway
from outbox_notify.schema.migration import packaged

if TYPE_CHECKING:
    from pathlib import Path

TOOLS: list[Tool] = [Alembic(), Django("shop"), Flyway()]
every_tool = pytest.mark.parametrize("tool", TOOLS, ids=["alembic", "django", "flyway"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "__init__.py").touch()
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def revision(folder: Path, name: str, after: str) -> None:
    (folder / f"{name}.py").write_text(f"revision: str = {name!r}\ndown_revision = {after}\n")


def django_migration(folder: Path, name: str, body: str) -> None:
    (folder / f"{name}.py").write_text(f"class Migration(migrations.Migration):\n    {body}\n")


def test_every_migration_is_of_a_kind_that_the_tools_run() -> None:
    """Who adds one that cannot run in a transaction must teach the tools that first."""
    assert all(migration.in_transaction for migration in packaged())
    assert not any("${" in migration.text for migration in packaged()), "Flyway takes this for a placeholder"


@every_tool
def test_second_export_writes_nothing_and_changes_nothing(tool: Tool, folder: Path) -> None:
    written = {path: path.read_bytes() for path in export(tool, folder, "public")}
    assert len(written) == len(packaged())
    assert export(tool, folder, "public") == []
    assert {path: path.read_bytes() for path in written} == written


@every_tool
def test_after_an_upgrade_only_the_new_ones_are_written(tool: Tool, folder: Path) -> None:
    before = export(tool, folder, "public", migrations=packaged()[:2])
    after = export(tool, folder, "public")
    for path in (*before, *after):
        path.unlink()
    assert names(export(tool, folder, "public")) == names(before + after)


@every_tool
def test_migrations_are_known_again_when_they_were_renamed_and_squashed(tool: Tool, folder: Path) -> None:
    written = export(tool, folder, "public")
    squashed = "\n".join(repr(path.read_text()) for path in written)
    for path in written:
        path.unlink()
    (folder / f"squashed{tool.suffix}").write_text(squashed)
    assert export(tool, folder, "public") == []
    assert len(export(tool, folder, "warehouse")) == len(written)


@every_tool
def test_outbox_of_another_schema_comes_on_top(tool: Tool, folder: Path) -> None:
    ours = export(tool, folder, "public")
    theirs = export(tool, folder, "warehouse")
    assert len(theirs) == len(ours)
    assert not set(ours) & set(theirs)


def test_file_in_the_way_is_left_alone(folder: Path) -> None:
    mine = folder / "outbox_0001_event_outbox.py"
    mine.write_text("mine = 1\n")
    with pytest.raises(OutboxError, match="is there already"):
        export(Alembic(), folder, "public")
    assert mine.read_text() == "mine = 1\n"


@every_tool
def test_lost_file_is_not_written_behind_a_later_one(tool: Tool, folder: Path) -> None:
    export(tool, folder, "public")[1].unlink()
    with pytest.raises(OutboxError, match=r"has lost 0002_operators\.sql"):
        export(tool, folder, "public")


def test_revision_comes_after_the_only_head(folder: Path) -> None:
    revision(folder, "aaa", "None")
    revision(folder, "ccc", "('bbb',)")
    revision(folder, "bbb", "'aaa'")
    assert Alembic().last(folder) == "ccc"
    revision(folder, "ddd", "'aaa'")
    with pytest.raises(OutboxError, match=r"2 heads, ccc, ddd: .*--after"):
        export(Alembic(), folder, "public")
    first = export(Alembic(), folder, "public", after="ddd")[0]
    assert 'down_revision = "ddd"' in first.read_text()


def test_new_revisions_come_after_what_the_user_has_added(folder: Path) -> None:
    export(Alembic(), folder, "public", migrations=packaged()[:1])
    revision(folder, "mine", "'outbox_0001'")
    second = export(Alembic(), folder, "public")[0]
    assert 'down_revision = "mine"' in second.read_text()


def test_revision_ids_fit_alembic_whatever_the_schema(folder: Path) -> None:
    export(Alembic(), folder, "s" * 40)
    assert len(Alembic().last(folder) or "") <= 32


def test_colon_of_the_sql_is_no_parameter_of_sqlalchemy() -> None:
    statement = "SELECT '{\"a\":1}'::jsonb, ':b', 'c:d', ': e'"
    assert text(_unbound(statement)).compile().params == {}
    assert str(text(_unbound(statement))) == statement


def test_django_migration_comes_after_the_only_leaf(folder: Path) -> None:
    django_migration(folder, "0001_initial", "dependencies = [('auth', '0009_last')]")
    django_migration(folder, "0002_more", "dependencies = [('shop', '0001_initial'), other('User')]")
    django_migration(folder, "0002_squashed", "replaces = [('shop', '0001_initial'), ('shop', '0002_more')]")
    first = export(Django("shop"), folder, "public")[0]
    assert first.name == "0003_outbox_0001_event_outbox.py"
    assert 'dependencies = [("shop", "0002_squashed")]' in first.read_text()

    django_migration(folder, "0003_mine", "dependencies = [('shop', '0002_squashed')]")
    with pytest.raises(OutboxError, match="2 leaves, 0003_mine, 0006_outbox_0004"):
        Django("shop").last(folder)


def test_folder_that_django_would_not_read_is_refused(folder: Path) -> None:
    (folder / "__init__.py").unlink()
    with pytest.raises(OutboxError, match=r"no __init__\.py"):
        export(Django("shop"), folder, "public")


@pytest.mark.parametrize(
    ("there", "first"),
    [
        ([], "V1__"),
        (["V1__a.sql", "V12__b.sql", "V9__c.sql", "R__view.sql", "V99.txt"], "V13__"),
        (["V001__a.sql"], "V002__"),
        (["V1.2__a.sql", "V1.10__b.sql"], "V1.11__"),
        (["V20260101120000__a.sql"], "V20260101120001__"),
    ],
)
def test_flyway_version_comes_after_the_greatest(folder: Path, there: list[str], first: str) -> None:
    for name in there:
        (folder / name).touch()
    assert export(Flyway(), folder, "public")[0].name.startswith(first)


def test_text_that_is_no_version_of_flyway_is_refused(folder: Path) -> None:
    with pytest.raises(OutboxError, match="no version of Flyway"):
        export(Flyway(), folder, "public", after="latest")


def test_module_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "broken.py").write_text("revision = (")
    with pytest.raises(OutboxError, match=r"broken\.py cannot be read"):
        export(Alembic(), folder, "public")
