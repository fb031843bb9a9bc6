"""The planted bugs fit the code as it is, and the command that tries them tells the truth about each."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.mutants import trial
from tests.mutants.__main__ import account, run
from tests.mutants.bug import ROOT, Bug, CodeMovedOn, Edit
from tests.mutants.planted import BUGS
from tests.mutants.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

_TESTS = "from shop import price\n\ndef test_price():\n    assert price(2) == 6\n"
_WRONG = Bug("wrong-price", (Edit("shop.py", "3 * pieces", "4 * pieces"),), "test_shop.py", "test_price")
_HARMLESS = Bug("harmless", (Edit("shop.py", "3 * pieces", "pieces * 3"),), "test_shop.py")
_BROKEN = Bug("broken", (Edit("shop.py", "return", "retrun"),), "test_shop.py")
_OUTDATED = Bug("outdated", (Edit("shop.py", "5 * pieces", ""),), "test_shop.py")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_fits_the_code_and_names_its_test(bug: Bug) -> None:
    for file, text in bug.changed(ROOT).items():
        assert text != (ROOT / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            ast.parse(text)
    tests = (ROOT / bug.file).read_text(encoding="utf-8")
    name = (bug.test or "test_").partition("[")[0]
    assert re.search(rf"^(async )?def {name}", tests, re.MULTILINE)


def test_every_bug_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(bug.name for bug in BUGS).items() if times > 1] == []


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout so small that its tests take no time."""
    (tmp_path / "shop.py").write_text("def price(pieces):\n    return 3 * pieces\n")
    (tmp_path / "test_shop.py").write_text(_TESTS)
    monkeypatch.setattr(trial, "ROOT", tmp_path)
    monkeypatch.setattr(trial, "_FILES", ("printf", r"shop.py\0test_shop.py\0"))


@pytest.mark.anyio
@pytest.mark.usefixtures("shop")
async def test_table_says_what_caught_each_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run([_WRONG, _HARMLESS, _BROKEN, _OUTDATED], jobs=2) == 1
    table = dict(re.findall(r"^(\S+) +\S+  (.*)$", capsys.readouterr().out, re.MULTILINE))
    del table["bug"]
    assert table == {
        "wrong-price": "test_shop.py::test_price",
        "harmless": "NOT CAUGHT: pytest ended with 0",
        "broken": "NOT CAUGHT: pytest ended with 2",
        "outdated": "NOT PLANTED: the code has moved on",
    }


def test_all_is_well_only_when_every_bug_is_caught() -> None:
    caught = Trial(1, ["test_shop.py::test_price"], 0.1, "")
    assert account([_WRONG], {"wrong-price": caught}) == 0
    # Servers that did not start are no proof.
    assert account([_WRONG], {"wrong-price": replace(caught, failed=[])}) == 1


@pytest.mark.anyio
@pytest.mark.usefixtures("shop")
async def test_tests_that_fail_without_a_bug_prove_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.py").write_text("def price(pieces):\n    return 2 * pieces\n")
    assert await run([_WRONG], jobs=1) == 1
    assert "these tests fail without a bug" in capsys.readouterr().err


def test_text_that_stands_there_twice_is_not_replaced() -> None:
    with pytest.raises(CodeMovedOn, match="holds 2 times"):
        Edit("x", "a", "b").of("a a")
