"""The pages of the reference say what the code says."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

from outbox_notify import cli
from tests.reference.pages import FOLDER, pages


@pytest.mark.parametrize(("name", "page"), pages().items())
def test_reference_says_what_the_code_says(name: str, page: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == page, "run make reference"


def test_every_verb_has_its_line_in_the_help() -> None:
    modules = {
        module.name: import_module(f"{cli.__name__}.{module.name}") for module in iter_modules(cli.__path__)
    }
    assert {name for name, module in modules.items() if hasattr(module, "command")} == set(cli.VERBS)
