"""How errors leave the command: their text, and the exit code of the worst of them."""

from __future__ import annotations

import pytest
from click.exceptions import Exit

from outbox_notify.cli.exits import EXIT_CODES, exit_codes
from outbox_notify.errors import (
    ConfigError,
    DatabaseUnreachable,
    InvalidEvent,
    NatsUnreachable,
    NotPermitted,
    OutboxError,
    SchemaError,
)


def exit_code(error: BaseException) -> int:
    with pytest.raises(Exit) as caught, exit_codes():
        raise error
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutboxError("x"), 1),
        (InvalidEvent("tenant_id", "a b", "one token"), 1),
        (DatabaseUnreachable("x"), 69),
        (NatsUnreachable("x"), 69),
        (NotPermitted("x"), 77),
        (SchemaError("x"), 78),
        (ConfigError("x"), 78),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    assert exit_code(BaseExceptionGroup("tasks", [BaseExceptionGroup("more", [error])])) == code
    assert str(code) in dict(EXIT_CODES)


def test_errors_of_tasks_that_failed_together_are_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup(
        "tasks", [NatsUnreachable("no NATS"), NotPermitted("no right"), NatsUnreachable("no NATS")]
    )
    assert exit_code(group) == 77
    assert capsys.readouterr().err.splitlines() == ["outbox-notify: no NATS", "outbox-notify: no right"]


def test_every_problem_of_the_settings_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code(ConfigError(["one", "two"]))
    assert capsys.readouterr().err.splitlines() == ["outbox-notify: one", "outbox-notify: two"]


def test_the_end_of_a_servers_log_is_indented_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code(OutboxError("postgres did not start:\nFATAL \x1b[31mno"))
    assert capsys.readouterr().err == "outbox-notify: postgres did not start:\n  FATAL \\x1b[31mno\n"


def test_mistakes_of_our_own_keep_their_traceback() -> None:
    mistake = ExceptionGroup("tasks", [NatsUnreachable("x"), ZeroDivisionError()])
    with pytest.raises(ExceptionGroup) as caught, exit_codes():
        raise mistake
    assert caught.value is mistake
