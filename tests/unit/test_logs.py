"""Log lines: one a record, readable by machines, without secrets."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.observability.logs import get_logger, setup_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "c4nary-s3cret"
HOSTILE = "a\r\nb\x1b[31m\x00\x7f\u2028\u202ec"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where log lines go; logging is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("outbox_notify")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield io.StringIO()
    root.handlers = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(capture=False)


def fail(text: str) -> None:
    raise ValueError(text)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_how_bad_and_what(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="json"), stream)
    get_logger().info("relay.ready", stream="OUTBOX", batch=500, idle=None)
    (line,) = logged(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {"level": "info", "event": "relay.ready", "stream": "OUTBOX", "batch": 500, "idle": None}


def test_auto_writes_json_where_there_is_no_terminal(stream: io.StringIO) -> None:
    setup_logging(Settings(), stream)
    get_logger().info("relay.ready")
    assert logged(stream)[0]["event"] == "relay.ready"


def test_auto_writes_text_on_a_terminal(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "isatty", lambda: True)
    setup_logging(Settings(), stream)
    get_logger().info("relay.ready", stream="OUTBOX", reason="not yet", empty="", counts={"a": 1})
    assert stream.getvalue().endswith(
        'Z info    relay.ready stream=OUTBOX reason="not yet" empty="" counts="{\\"a\\": 1}"\n'
    )


def test_t59_hostile_values_stay_inside_their_json_line(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="json"), stream)
    get_logger().warning(HOSTILE, tenant=HOSTILE, many=[HOSTILE], **{HOSTILE: 1})
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    (line,) = logged(stream)
    assert line["tenant"] == line["event"] == line["many"][0] == HOSTILE


def test_t59_hostile_values_stay_inside_their_text_line(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="text"), stream)
    get_logger().warning(HOSTILE, tenant=HOSTILE, **{HOSTILE: 1})
    assert stream.getvalue().removesuffix("\n").isprintable()


def test_long_values_are_shortened(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="json"), stream)
    get_logger().info("relay.ready", tenant="x" * 1_000_000, names=["y" * 501])
    (line,) = logged(stream)
    assert len(line["tenant"]) == 500
    assert line["names"] == ["y" * 497 + "..."]


def test_values_that_json_does_not_know_become_text(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="json"), stream)
    get_logger().info("relay.ready", rate=float("nan"), error=ValueError("no"), seen={1})
    (line,) = logged(stream)
    assert (line["rate"], line["error"], line["seen"]) == ("nan", "no", [1])


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_t56_secrets_never_reach_a_line(stream: io.StringIO, log_format: Any) -> None:
    url = f"postgresql://u:{CANARY}@h/d"
    setup_logging(Settings(log_format=log_format, database_url=url, nats_token=f"tok-{CANARY}"), stream)
    log = get_logger()
    try:
        fail(f"cannot use tok-{CANARY}")
    except ValueError:
        log.exception("relay.crashed", url=url, other=f"nats://x:{CANARY}@h", settings=[CANARY])
    logging.getLogger("nats").error("refused %s", f"tok-{CANARY}")
    assert "ValueError: cannot use ***" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_traceback_cannot_pass_for_log_lines(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="text"), stream)
    try:
        fail("x\n2026-01-01T00:00:00Z info fake.line \x1b[31m")
    except ValueError:
        get_logger().exception("relay.crashed")
    first, *more = stream.getvalue().splitlines()
    assert first.endswith("relay.crashed")
    assert all(line.startswith("    ") and line.isprintable() for line in more)


def test_lines_of_libraries_and_warnings_come_the_same_way(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="json"), stream)
    logging.getLogger("nats.aio").warning("slow %s", "consumer")
    logging.getLogger("nats.aio").info("not this one")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    lines = logged(stream)
    assert (lines[0]["event"], lines[0]["level"]) == ("slow consumer", "warning")
    assert lines[0]["logger"] == "nats.aio"
    assert "DeprecationWarning: old" in lines[1]["event"]


@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lines_below_the_level_are_left_out(stream: io.StringIO, level: Any, heard: int) -> None:
    setup_logging(Settings(log_format="json", log_level=level), stream)
    log = get_logger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("relay.line")
    assert len(logged(stream)) == heard


def test_setting_up_twice_does_not_write_twice(stream: io.StringIO) -> None:
    setup_logging(Settings(log_format="text"), stream)
    setup_logging(Settings(log_format="json"), stream)
    get_logger().info("relay.ready")
    assert len(logged(stream)) == 1
