"""The one tree of errors. Adapters translate what their libraries raise into these at the border.

Each class carries the exit code of the command line, so that nothing above has to know which library failed.
"""

from __future__ import annotations


class OutboxError(Exception):
    """Something went wrong that the user can act on; its text says what to do next."""

    exit_code = 1


class ConfigError(OutboxError):
    """Settings are missing, malformed or contradict each other."""

    exit_code = 78

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class SchemaError(OutboxError):
    """The outbox table is missing, too old, too new, or its history was edited."""

    exit_code = 78


class Unreachable(OutboxError):
    """PostgreSQL or NATS does not answer."""

    exit_code = 69


class DatabaseUnreachable(Unreachable):
    """PostgreSQL does not answer, or the connection was lost."""


class NatsUnreachable(Unreachable):
    """NATS does not answer, or the connection was lost."""


class NotPermitted(OutboxError):
    """The role or the user lacks a right; the text names it."""

    exit_code = 77


class InvalidEvent(OutboxError, ValueError):
    """A value breaks a rule of the outbox.

    Args:
        field: name of the field, as in the table.
        value: the offending value; shown shortened.
        rule: what the field must be, in words.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        self.field = field
        self.value = value
        self.rule = rule
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field}: {shown} is not valid: {rule}")
