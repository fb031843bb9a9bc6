"""Why events did not get through, as a closed set of reasons: what servers say is anybody's text."""

from __future__ import annotations

import re
from functools import lru_cache

from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry

# These came back without having been tried, or after the one before them.
_NOT_TRIED = ("waits for event ", "the relay stopped", "a batch before ", "its lease ran out", "its turn ")
_CODE = re.compile(r"\((\d+)\)$")
_NO_STREAM = {"10059", "10060", "503"}
_STORAGE = {"10002", "10023", "10028", "10047", "10053", "10077", "10122"}


@lru_cache(maxsize=1000)
def kind_of_error(outcome: Outcome) -> str | None:
    """Return one of the reasons of `publish_errors_total`; None when nothing stood in the event's own way."""
    match outcome:
        case Released(reason):
            return None if reason.startswith(_NOT_TRIED) else _nobodys_fault(reason)
        case Rested(_, reason):
            return _fault_of_route(reason)
        case Failed(certain=True):
            return "event"
        case Failed() | Retry():
            return "refused"
    return None


def _nobodys_fault(reason: str) -> str:
    if reason.startswith("no answer"):
        return "timeout"
    return "unavailable" if _CODE.search(reason) else "disconnected"


def _fault_of_route(reason: str) -> str:
    if reason.startswith("no answer"):
        return "timeout"
    if "not permitted" in reason:
        return "not_permitted"
    found = _CODE.search(reason)
    code = found[1] if found else ""
    if code in _NO_STREAM:
        return "no_stream"
    return "storage" if code in _STORAGE else "route"
