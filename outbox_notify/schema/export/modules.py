"""Reading the names that Python modules give to their migrations, without running them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def parsed(path: Path) -> ast.Module:
    """Return a module as its syntax tree.

    Raises:
        OutboxError: it is no Python.
    """
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise OutboxError(f"{path} cannot be read: {error}") from error


def assigned(body: Iterable[ast.stmt], name: str) -> ast.expr | None:
    """Return what is assigned to a name, with or without an annotation; None when nothing is."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return value
            case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
                return value
    return None


def strings(expression: ast.expr | None) -> set[str]:
    """Return the strings of an expression: one, or those of a tuple or list."""
    if isinstance(expression, ast.Tuple | ast.List):
        return {text for element in expression.elts for text in strings(element)}
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return {expression.value}
    return set()


def literal(text: str) -> str:
    """Return a text of many lines as a raw string of Python.

    Raises:
        ValueError: the text holds three quotes in a row.
    """
    if '"""' in text:
        raise ValueError("SQL with three quotes in a row cannot be written as a raw string")
    return f'r"""\n{text.strip()}\n"""'


def only(candidates: Iterable[str], folder: Path, what: str) -> str | None:
    """Return the only candidate, or None when there is none.

    Raises:
        OutboxError: there are several.
    """
    found = sorted(candidates)
    if len(found) > 1:
        raise OutboxError(
            f"{folder} has {len(found)} {what}, {', '.join(found)}: merge them, or name one with --after"
        )
    return found[0] if found else None
