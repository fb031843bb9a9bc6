"""What the HTTP server shows, as functions of whoever watches the relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True)
class Views:
    """Where answers come from.

    Args:
        troubles: what stands in the way of the relay's work, each a component and a reason; nothing when it is ready.
        metrics: given the Accept header, returns all metrics and their content type.
        status: returns the document of `status --json`; raises OutboxError when it cannot.
    """

    troubles: Callable[[], list[dict[str, str]]]
    metrics: Callable[[str], tuple[bytes, str]]
    status: Callable[[], Awaitable[dict[str, Any]]]
