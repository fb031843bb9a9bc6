"""Which server to try first: the one after that which was tried last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Addresses:
    """Goes through the servers of `OUTBOX_NATS_URL` in turn.

    Who has lost one goes on with the next: the one that was lost may take connections, and answer nothing.
    """

    def __init__(self) -> None:
        self._last = ""

    def in_turn(self, url: str) -> Iterator[str]:
        """Go once through all of them; whoever stops at one goes on after it the next time.

        Args:
            url: addresses, parted by commas.
        """
        addresses = [address.strip() for address in url.split(",")]
        first = addresses.index(self._last) + 1 if self._last in addresses else 0
        for self._last in addresses[first:] + addresses[:first]:
            yield self._last
