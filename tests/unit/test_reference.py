"""The pages of the reference say what the code says."""

from __future__ import annotations

import pytest

from tests.reference.pages import FOLDER, pages


@pytest.mark.parametrize(("name", "page"), pages().items())
def test_reference_says_what_the_code_says(name: str, page: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == page, "run make reference"
