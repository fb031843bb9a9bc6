"""What a NATS subject of the outbox may look like: tokens, event types, prefixes. Rules only, no I/O.

The same rules are domains in the database (`event_outbox_token`, `event_outbox_type`); a test proves that
both agree. `fullmatch` is used throughout, because `$` would let a trailing newline through.
"""

from __future__ import annotations

import re

MAX_TOKEN_LENGTH = 64
MAX_TYPE_TOKENS = 8
MAX_TYPE_LENGTH = 255

TOKEN_RULE = "must be 1 to 64 characters out of A-Z a-z 0-9 _ -"  # noqa: S105  # a NATS subject token, no secret
EVENT_TYPE_RULE = (
    "must be 1 to 8 tokens joined by dots, each 1 to 64 characters out of A-Z a-z 0-9 _ -, "
    "255 characters at most in all"
)

_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TOKEN_LENGTH}}}")
_TOKENS = re.compile(rf"{_TOKEN.pattern}(?:\.{_TOKEN.pattern}){{0,{MAX_TYPE_TOKENS - 1}}}")


def valid_token(text: str) -> bool:
    """Tell whether `text` can be one token of a subject: a tenant, or an aggregate type."""
    return _TOKEN.fullmatch(text) is not None


def valid_event_type(text: str) -> bool:
    """Tell whether `text` can be an event type: 1 to 8 tokens joined by dots."""
    return len(text) <= MAX_TYPE_LENGTH and _TOKENS.fullmatch(text) is not None


def subject_of(prefix: str, tenant_id: str, event_type: str) -> str:
    """Return the subject that an event is published on; every part has passed its rule before."""
    return f"{prefix}.{tenant_id}.{event_type}"
