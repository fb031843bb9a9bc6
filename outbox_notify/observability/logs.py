"""Log lines on stderr: text on a terminal, one JSON object a line elsewhere; no secret, no broken line.

Our lines and those of libraries take one way out, through one handler of the standard library's root logger.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from outbox_notify.config.settings import declarations
from outbox_notify.config.values import mask_urls, passwords
from outbox_notify.text import LONGEST, one_line, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

    from outbox_notify.config.settings import Settings

_FIRST = ("timestamp", "level", "event")
_TRACEBACK = "exception"
_LONGEST_TRACEBACK = 20_000
# Shorter passwords than this are words that would be cut out of lines that have nothing to do with them.
_LEAST_SECRET = 6


def get_logger() -> structlog.stdlib.BoundLogger:
    """Return the logger of this package: `get_logger().info("relay.ready", stream="OUTBOX")`.

    It leaves structlog's global configuration alone: an application that uses this package has its own.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("outbox_notify"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind()
    return logger


def setup_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line of the process to stderr, in the format and from the level that are set.

    Libraries are heard from `warning`, or from our level if that is higher, and from `info` when ours is `debug`.
    psycopg complains about each try to connect, which our own lines tell once: it is heard in `debug` only.

    Args:
        settings: their secrets are taken out of every line.
        stream: where to write instead.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_formatter(handler.stream, settings))
    root = logging.getLogger()
    root.handlers = [*(old for old in root.handlers if not isinstance(old, _Handler)), handler]
    ours = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.getLogger("outbox_notify").setLevel(ours)
    all_of_it = settings.log_level == "debug"
    root.setLevel(logging.INFO if all_of_it else max(ours, logging.WARNING))
    logging.getLogger("psycopg").setLevel(logging.NOTSET if all_of_it else logging.ERROR)
    logging.captureWarnings(capture=True)


def cleaner(settings: Settings) -> Callable[[Any], Any]:
    """Return what makes a value safe to show, as in log lines: secrets masked, long texts cut, only what JSON knows."""
    return _Cleaner(_secrets(settings)).cleaned


class _Handler(logging.StreamHandler[TextIO]):
    """The handler that a second set-up replaces."""


def _formatter(stream: TextIO, settings: Settings) -> logging.Formatter:
    chosen = settings.log_format
    text = chosen == "text" or (chosen == "auto" and stream.isatty())
    renderer: Processor = _as_text if text else _as_json
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Cleaner(_secrets(settings)),
            renderer,
        ],
    )


def _secrets(settings: Settings) -> tuple[str, ...]:
    found = {
        secret
        for declaration in declarations().values()
        if declaration.secret and (value := getattr(settings, declaration.name))
        for secret in (passwords(value) if declaration.shown == "masked" else [value])
    }
    return tuple(sorted((secret for secret in found if len(secret) >= _LEAST_SECRET), key=len, reverse=True))


@dataclass(frozen=True)
class _Cleaner:
    """Make every value safe to print: secrets masked, long texts cut, only what JSON knows."""

    secrets: tuple[str, ...]

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        first = {key: event[key] for key in _FIRST if key in event}
        cleaned = {key: self.cleaned(value) for key, value in {**first, **event}.items()}
        if _TRACEBACK in event:
            cleaned[_TRACEBACK] = self._mask(str(event[_TRACEBACK]))[-_LONGEST_TRACEBACK:]
        return cleaned

    def cleaned(self, value: Any) -> Any:
        """Return a value that is safe to print."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, dict):
            return {shortened(str(key)): self.cleaned(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.cleaned(item) for item in value]
        return shortened(self._mask(str(value)))

    def _mask(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return mask_urls(text) if "://" in text or "password" in text else text


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    # ASCII only, so whatever could break a line or colour a terminal is escaped, and readers get it back.
    return json.dumps(event)


def _as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return `time level event key=value ...`; a traceback follows, indented: it cannot pass for a line."""
    traceback = event.pop(_TRACEBACK, "")
    timestamp, level, name = (event.pop(key, "") for key in _FIRST)
    values = " ".join(f"{one_line(key)}={_quoted(value)}" for key, value in event.items())
    line = f"{timestamp} {level:<7} {one_line(name)} {values}".rstrip()
    return "\n    ".join([line, *map(one_line, traceback.splitlines())])


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = text.isprintable() and not set(text) & set(' "=\\')
    return text if text and plain else one_line(json.dumps(text, ensure_ascii=False), 2 * LONGEST)
