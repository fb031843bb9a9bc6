"""The page of exit codes, from the command line and the tree of errors."""

from __future__ import annotations

from outbox_notify import errors
from outbox_notify.cli.exits import BROKEN_PIPE, EXIT_CODES

_HEAD = """\
# Exit codes

The same for all verbs. When several things went wrong at once, the highest counts. A message on stderr says what
happened, one line for each problem.

Written by `make reference`.

| code | means | what to do | errors in Python |
| --- | --- | --- | --- |
"""

_ADVICE = {
    "0": "nothing; `relay --drain`: nothing is due any more, and `drain.left` in its log tells what others hold",
    "1": "read what it printed: a row of `doctor` that is `fail`, a difference that `migrate verify` found,"
    " events that `replay` or `demo` miss, an event that `why` does not find",
    "2": "`--help` of the verb",
    "69": "wait and start it again. `relay` itself does not end for this, unless it drains",
    "77": "give the right that the message names: [roles](../how-to/roles.md), [NATS](../how-to/nats-tls.md)",
    "78": "mend what the messages name: [settings](settings.md), or `outbox-notify migrate`",
    "130": "nothing: it was Ctrl-C. A relay that is stopped ends with 0",
    str(BROKEN_PIPE): "nothing: who read its output has gone, as `head` does",
}
_ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OutboxError)
]


def page() -> str:
    """Return the page."""
    codes = {**dict(EXIT_CODES), str(BROKEN_PIPE): "output closed"}
    return _HEAD + "".join(f"{_row(code, codes[code])}\n" for code in codes)


def _row(code: str, means: str) -> str:
    raised = [error.__name__ for error in _ERRORS if str(error.exit_code) == code]
    return f"| {code} | {means} | {_ADVICE[code]} | {', '.join(f'`{name}`' for name in raised)} |"
