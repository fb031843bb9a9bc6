"""Where settings come from, which source wins, and how problems are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from outbox_notify.config.load import Settings, load_settings
from outbox_notify.config.settings import declarations
from outbox_notify.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "c4nary-s3cret"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, environ)
    return caught.value.problems


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_flag_beats_environment_beats_file_beats_credential_beats_default(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.toml", 'stream = "FILE"\nschema = "file"\nbatch_size = 7\ndatabase_url = "host=file"\n'
    )
    write(tmp_path / "database_url", "host=credential")
    write(tmp_path / "nats_token", CANARY)
    environ = {"OUTBOX_STREAM": "ENV", "OUTBOX_SCHEMA": "env", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    loaded = load_settings({"stream": "FLAG", "schema": None}, environ, file)
    taken = {
        name: (getattr(loaded.settings, name), loaded.sources[name])
        for name in ("stream", "schema", "batch_size", "database_url", "nats_token", "lease")
    }
    assert taken == {
        "stream": ("FLAG", "flag --stream"),
        "schema": ("env", "environment OUTBOX_SCHEMA"),
        "batch_size": (7, f"file {file}"),
        "database_url": ("host=file", f"file {file}"),
        "nats_token": (CANARY, "credential nats_token"),
        "lease": (30.0, "default"),
    }


@pytest.mark.parametrize("name", list(declarations()))
def test_every_setting_is_taken_from_the_environment(name: str) -> None:
    others = {"bool": "true", "int": "7"}
    given = {"database_url": "host=h", "listen_database_url": "host=h", "http": "off", "http_auth": "u:p"}
    declaration = declarations()[name]
    text = given.get(name) or (declaration.default if name != "relay_id" else "") or others.get(name) or "x1"
    environ = {declaration.variable: text}
    environ |= {"OUTBOX_NATS_PASSWORD": "p"} if name == "nats_user" else {}
    environ |= {"OUTBOX_NATS_USER": "u"} if name == "nats_password" else {}
    environ |= (
        {"OUTBOX_NATS_TLS_KEY": "k", "OUTBOX_NATS_TLS_CERT": "c"} if name.startswith("nats_tls_") else {}
    )
    assert load_settings({}, environ).sources[name] == f"environment {declaration.variable}"


def test_the_file_in_the_working_directory_is_read_unasked(tmp_path: Path) -> None:
    write(tmp_path / "outbox-notify.toml", "nats_tls_first = true")
    loaded = load_settings({}, {})
    assert loaded.settings.nats_tls_first
    assert loaded.sources["nats_tls_first"] == "file outbox-notify.toml"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({}, {"OUTBOX_LEASE": ""}).settings.lease == 30.0


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", 'bach_size = 3\nwake = "loud"\nlease = 30\nstream = ["a"]\n')
    with pytest.raises(ConfigError) as caught:
        load_settings({"ordering": "x"}, {"OUTBOX_MAX_CLAIMS": "0"}, file)
    assert {problem.partition(" must")[0] for problem in caught.value.problems} == {
        "--ordering 'x'",
        "OUTBOX_MAX_CLAIMS '0'",
        f"{file}: bach_size is not a setting (did you mean batch_size?)",
        f"{file}: lease '30'",
        f"{file}: stream",
        f"{file}: wake 'loud'",
    }


def test_strangers_in_the_environment_only_warn_and_never_show_their_value() -> None:
    loaded = load_settings({}, {"OUTBOX_SERVICE_HOST": "10.0.0.1", "OUTBOX_BACH_SIZE": CANARY, "OTHER": "x"})
    assert loaded.warnings == [
        "OUTBOX_BACH_SIZE is not a setting (did you mean OUTBOX_BATCH_SIZE?); ignored",
        "OUTBOX_SERVICE_HOST is not a setting; ignored",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file"),
        (f"a = {CANARY}", r"not TOML \(at line 1"),
        ("[relay]\nlease = '5s'", "relay is not a setting"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_a_problem(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "a.toml"
    if text is not None:
        write(path, text)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_settings({}, {}, path)
    assert CANARY not in str(caught.value)


def test_secrets_are_read_from_files_without_the_newline(tmp_path: Path) -> None:
    token = write(tmp_path / "token", f"{CANARY}\n")
    loaded = load_settings({}, {"OUTBOX_NATS_TOKEN_FILE": str(token)})
    assert loaded.settings.nats_token == CANARY
    source = loaded.sources["nats_token"]
    assert source == "environment OUTBOX_NATS_TOKEN_FILE"


def test_secret_files_that_cannot_be_used_are_problems(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", "\n")
    assert problems(OUTBOX_NATS_TOKEN_FILE=str(empty)) == [f"OUTBOX_NATS_TOKEN_FILE: {empty} is empty"]
    assert "No such file" in problems(OUTBOX_DATABASE_URL_FILE=str(tmp_path / "none"))[0]
    both = {"OUTBOX_NATS_TOKEN": "a", "OUTBOX_NATS_TOKEN_FILE": str(write(empty, "b"))}
    assert "both set" in problems(**both)[0]


def test_a_secret_put_where_a_file_name_belongs_is_not_repeated() -> None:
    (problem,) = problems(OUTBOX_NATS_TOKEN_FILE=CANARY)
    assert problem == "OUTBOX_NATS_TOKEN_FILE: cannot read the file: No such file or directory"


def test_key_files_in_the_credentials_directory_are_used_in_place(tmp_path: Path) -> None:
    creds = write(tmp_path / "nats_creds", CANARY)
    assert load_settings({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings.nats_creds == str(creds)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"OUTBOX_LEASE": "10s"}, "OUTBOX_LEASE (10s) and OUTBOX_PUBLISH_TIMEOUT (10s) conflict"),
        ({"OUTBOX_RETRY_BASE": "6m"}, "OUTBOX_RETRY_BASE (6m) and OUTBOX_RETRY_MAX (5m) conflict"),
        (
            {"OUTBOX_NATS_TOKEN": "a", "OUTBOX_NATS_CREDS": "b"},
            "OUTBOX_NATS_CREDS (b) and OUTBOX_NATS_TOKEN (***)",
        ),
        ({"OUTBOX_NATS_USER": "a"}, "OUTBOX_NATS_USER (a) and OUTBOX_NATS_PASSWORD (not set) conflict"),
        (
            {"OUTBOX_NATS_TLS_CERT": "a"},
            "OUTBOX_NATS_TLS_CERT (a) and OUTBOX_NATS_TLS_KEY (not set) conflict",
        ),
    ],
)
def test_settings_that_fight_each_other_are_named(environ: dict[str, str], text: str) -> None:
    assert [problem for problem in problems(**environ) if problem.startswith(text)]


def test_a_conflict_with_a_value_that_is_wrong_anyway_is_not_told() -> None:
    assert len(problems(OUTBOX_LEASE="10s", OUTBOX_PUBLISH_TIMEOUT="x")) == 1


def test_problems_and_text_forms_never_show_a_secret() -> None:
    url = f"postgresql://u:{CANARY}@h/d"
    bad = f"postgresql://u:{CANARY}@{CANARY}@h/d"
    settings = load_settings({}, {"OUTBOX_DATABASE_URL": url, "OUTBOX_NATS_TOKEN": CANARY}).settings
    wrong = problems(
        OUTBOX_DATABASE_URL=bad, OUTBOX_NATS_URL=f"nats://{CANARY}@h:x", OUTBOX_NATS_TOKEN=f"{CANARY}\x00"
    )
    assert len(wrong) == 3
    assert CANARY not in f"{settings} {settings!r} {wrong}"
    assert settings.shown("database_url") == "postgresql://u:***@h/d"


def test_a_missing_database_url_is_told_when_it_is_needed() -> None:
    with pytest.raises(ConfigError, match="OUTBOX_DATABASE_URL"):
        load_settings({}, {}).settings.require_database_url()


def test_the_listener_uses_the_database_url_unless_it_has_its_own() -> None:
    assert Settings(database_url="host=a").require_listen_database_url() == "host=a"
    assert (
        Settings(database_url="host=a", listen_database_url="host=b").require_listen_database_url()
        == "host=b"
    )


def test_relay_ids_differ_and_obey_their_own_rule() -> None:
    one, other = Settings().relay_id, Settings().relay_id
    assert one != other
    assert load_settings({"relay_id": one}, {}).settings.relay_id == one
