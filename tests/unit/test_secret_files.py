"""Secrets that are kept in files: `OUTBOX_<SETTING>_FILE` and systemd's credentials directory."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from outbox_notify.config.load import load_settings
from outbox_notify.config.settings import declarations
from outbox_notify.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CANARY = "c4nary-s3cret"
NOBODY = 65534
SECRETS = [item.name for item in declarations().values() if item.secret]
TEXTS = dict.fromkeys(SECRETS, CANARY) | {
    "database_url": f"postgresql://u:{CANARY}@h/d",
    "listen_database_url": f"host=h password='{CANARY}'",
    "nats_url": f"nats://u:{CANARY}@h",
    "http_auth": f"u:{CANARY}",
}
FILES = [item.name for item in declarations().values() if item.path]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody whom file modes bind: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture(params=["variable", "credential"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, bytes], dict[str, str]]:
    """Write the content of a secret where its source looks for it, and return the environment that says so."""

    def write(name: str, content: bytes) -> dict[str, str]:
        folder = tmp_path / request.param
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        if request.param == "variable":
            return {f"OUTBOX_{name.upper()}_FILE": str(folder / name)}
        return {"CREDENTIALS_DIRECTORY": str(folder)}

    return write


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, environ)
    assert CANARY not in str(caught.value)
    return caught.value.problems


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_every_secret_may_be_kept_in_a_file(
    put: Callable[[str, bytes], dict[str, str]], name: str, ending: str
) -> None:
    environ = put(name, (TEXTS[name] + ending).encode())
    environ |= {"OUTBOX_NATS_USER": "u"} if name == "nats_password" else {}
    loaded = load_settings({}, environ)
    assert getattr(loaded.settings, name) == TEXTS[name]
    assert CANARY not in f"{loaded.settings} {loaded.sources}"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (f"{CANARY}\n\n".encode(), "must"),
        (f"{CANARY}\nsecond line\n".encode(), "must"),
        (f"{CANARY}\0".encode(), "must"),
        (CANARY.encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_problem_and_is_not_repeated(
    put: Callable[[str, bytes], dict[str, str]], name: str, content: bytes, problem: str
) -> None:
    (found,) = [text for text in problems(put(name, content)) if "conflict" not in text]
    assert problem in found
    assert name.upper() in found.upper()


def test_a_file_that_may_not_be_read_is_a_problem(
    put: Callable[[str, bytes], dict[str, str]], tmp_path: Path
) -> None:
    environ = put("nats_token", CANARY.encode())
    for path in tmp_path.rglob("nats_token"):
        path.chmod(0)
    with unprivileged():
        (found,) = [text for text in problems(environ) if "nats_token" in text.lower()]
    assert found.endswith("Permission denied")


def test_a_folder_in_place_of_a_file_is_a_problem(tmp_path: Path) -> None:
    (found,) = problems({"OUTBOX_NATS_TOKEN_FILE": str(tmp_path)})
    assert found.endswith("Is a directory")


def test_a_credentials_directory_that_is_gone_is_a_problem_only_when_something_is_missing(
    tmp_path: Path,
) -> None:
    settings = load_settings({}, {"CREDENTIALS_DIRECTORY": str(tmp_path / "gone")}).settings
    with pytest.raises(ConfigError, match="OUTBOX_DATABASE_URL"):
        settings.require_database_url()


def test_a_credential_whose_target_is_gone_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "database_url").symlink_to(tmp_path / "gone")
    (found,) = problems({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.startswith("credential database_url: cannot read")


@pytest.mark.parametrize("name", FILES)
def test_credentials_that_are_files_of_others_are_used_in_place(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(CANARY, encoding="utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    environ |= {"OUTBOX_NATS_TLS_CERT": "c"} if name == "nats_tls_key" else {}
    environ |= {"OUTBOX_NATS_TLS_KEY": "k"} if name == "nats_tls_cert" else {}
    assert getattr(load_settings({}, environ).settings, name) == str(tmp_path / name)


def test_credentials_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    for name in ("schema", "other", "nats_user"):
        (tmp_path / name).write_text("X!", encoding="utf-8")
    loaded = load_settings({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert set(loaded.sources.values()) == {"default"}
