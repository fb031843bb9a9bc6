"""What an answer to a published event means. Anybody may have sent it, so nothing in it is taken for granted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from outbox_notify.relay.outcomes import Outcome, Published, Rested
from outbox_notify.relay.retry import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_RESPONDERS = "503"


def read_answer(headers: Mapping[str, str] | None, data: bytes, route: str) -> Outcome:
    """Return what an answer says about an event; whether its stream is one of ours remains to be checked.

    Args:
        headers: of the answer.
        data: its body.
        route: the route of the event.
    """
    if headers and headers.get("Status") == _NO_RESPONDERS:
        return Rested(route, "no stream takes the subject, or JetStream has no leader (503)")
    try:
        return _read(json.loads(data), route)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return Rested(route, "the answer is not an ack of JetStream")


def _read(answer: Any, route: str) -> Outcome:
    if error := answer.get("error"):
        code, status = int(error.get("err_code", 0)), int(error.get("code", 0))
        return judge(code, str(error.get("description", "refused")), route, status)
    stream, sequence = answer["stream"], answer["seq"]
    # Not isinstance: True is an int too.
    if type(stream) is not str or type(sequence) is not int:
        raise TypeError
    if sequence <= 0:
        return Rested(route, f"the ack says that nothing was stored: {stream}, sequence {sequence}")
    return Published(stream, sequence, bool(answer.get("duplicate")))
