"""The search for canaries finds them however they are written: a scan that is blind proves nothing."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

from tests.support.canaries import canary, encoded, found_in, shown_by_kernel

SECRET = canary("test")


@pytest.mark.parametrize("form", [
    SECRET, f"postgresql://u:{encoded(SECRET)}@h/d", json.dumps({"a": [SECRET]}), repr(SECRET.encode()),
    SECRET.encode().hex(), *(base64.b64encode(f"{before}{SECRET}".encode()).decode() for before in ("", "a", "ab")),
])  # fmt: skip
def test_canaries_are_found_in_every_form(form: str) -> None:
    assert found_in(f"2026 info {form} more") != []
    assert found_in(form[1:4]) == []


def test_canaries_are_found_where_the_kernel_shows_them() -> None:
    with subprocess.Popen(["/bin/sleep", "10"], env={"PGPASSWORD": SECRET}) as process:
        assert found_in(shown_by_kernel([process.pid])) != []
        process.kill()
