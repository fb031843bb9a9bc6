"""Migrations of a Django app."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from outbox_notify.errors import OutboxError
from outbox_notify.schema.export.exporting import Exported
from outbox_notify.schema.export.modules import assigned, literal, only, parsed, strings
from outbox_notify.schema.script import backward, forward

if TYPE_CHECKING:
    from pathlib import Path

    from outbox_notify.schema.migration import Migration

_MODULE = '''\
"""{title} of outbox-notify; leave it as it is."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [{dependency}]

    operations = [
        migrations.RunSQL(
            sql={up},
            reverse_sql={down},
        ),
    ]
'''


@dataclass(frozen=True)
class Django:
    """The folder `migrations` of an app.

    Args:
        app_label: of the app.
    """

    app_label: str
    suffix: ClassVar = ".py"

    def last(self, folder: Path) -> str | None:
        """Return the only leaf among the migrations in the folder."""
        if not (folder / "__init__.py").exists():
            raise OutboxError(f"{folder} has no __init__.py: Django would not find migrations in it")
        modules = {path.stem: _body(path) for path in folder.glob("[!_]*.py")}
        passed = {name for body in modules.values() for name in self._passed(body)}
        return only(modules.keys() - passed, folder, "leaves")

    def export(self, schema: str, migration: Migration, after: str | None) -> Exported:
        """Return a migration of one operation that can be reversed."""
        number = int(re.sub(r"\D.*", "", after or "") or 0) + 1
        title = migration.name.removesuffix(".sql")
        text = _MODULE.format(
            title=title,
            dependency=f'("{self.app_label}", "{after}")' if after else "",
            up=literal(forward(schema, migration)),
            down=literal(backward(schema, migration)),
        )
        name = f"{number:04}_outbox_{title}"
        return Exported(name, f"{name}.py", text)

    def _passed(self, body: list[ast.stmt]) -> set[str]:
        """Return the migrations of this app that a migration comes after or stands for."""
        pairs = []
        for attribute in ("dependencies", "replaces"):
            value = assigned(body, attribute)
            pairs += value.elts if isinstance(value, ast.List | ast.Tuple) else []
        named = [pair.elts for pair in pairs if isinstance(pair, ast.Tuple) and len(pair.elts) == 2]
        return {text for app, name in named if strings(app) == {self.app_label} for text in strings(name)}


def _body(path: Path) -> list[ast.stmt]:
    classes = [one for one in parsed(path).body if isinstance(one, ast.ClassDef) and one.name == "Migration"]
    return classes[0].body if classes else []
