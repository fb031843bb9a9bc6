"""Keeps a link to JetStream: one that is lost is replaced, for as long as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from outbox_notify.consumer.link import Link
from outbox_notify.errors import ConfigError, NotPermitted, OutboxError
from outbox_notify.jetstream.addresses import Addresses
from outbox_notify.observability.logs import get_logger
from outbox_notify.relay.retry import Backoff

if TYPE_CHECKING:
    from outbox_notify.config.settings import Settings
    from outbox_notify.consumer.durable import Durable
    from outbox_notify.consumer.worker import Worker

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0


class Line:
    """Connects a worker with its durable.

    Args:
        settings: servers and login.
        durable: whose messages.
        worker: takes them.
    """

    def __init__(self, settings: Settings, durable: Durable, worker: Worker) -> None:
        self._settings = settings
        self._durable = durable
        self._worker = worker
        self._addresses = Addresses()
        # What is given back when all is cancelled still has to get through.
        self._scope = anyio.CancelScope(shield=True)
        self._trouble = ""
        self._backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._log = get_logger()

    async def keep(self) -> None:
        """Keep a link until told to end, whatever is cancelled around.

        Raises:
            ConfigError: the durable cannot be had as it should be.
            NotPermitted: the user may not consume.
        """
        with self._scope:
            while True:
                reason = await self._serve(Link(self._durable, self._worker.deliver))
                if reason != self._trouble:
                    self._log.warning("consumer.waiting", durable=self._durable.name, reason=reason)
                self._trouble = reason
                await anyio.sleep(self._backoff.next())

    def end(self) -> None:
        """Close the link and keep none."""
        self._scope.cancel()

    async def _serve(self, link: Link) -> str:
        """Work with one link to its end, and return why it ended."""
        try:
            await link.open(self._settings, self._addresses)
            await self._worker.begin(link)
            self._trouble = ""
            self._backoff.reset()
            self._log.info("consumer.ready", stream=self._durable.stream, durable=self._durable.name)
            return await link.wait_lost()
        except (ConfigError, NotPermitted):
            raise
        except OutboxError as error:
            return str(error)
        finally:
            self._worker.end()
            await link.close()
