"""How a relay is watched from outside: its reports become log lines, metrics and health, shown over HTTP."""
# The libraries of HTTP and metrics are imported when the relay is ready: they must not make it wait.
# ruff: noqa: PLC0415

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import OutboxError
from outbox_notify.observability import catalog
from outbox_notify.observability.health import Health
from outbox_notify.observability.herald import Herald
from outbox_notify.observability.logs import cleaner, get_logger
from outbox_notify.observability.meter import Meter
from outbox_notify.observability.narrator import Narrator
from outbox_notify.observability.reports import to_each
from outbox_notify.observability.spans import spans
from outbox_notify.observability.tally import Tally
from outbox_notify.observability.watched import WatchedOutbox
from outbox_notify.operations.lookout import Lookout

if TYPE_CHECKING:
    from typing import Any

    from outbox_notify.config.settings import Settings
    from outbox_notify.http.views import Views
    from outbox_notify.observability.systemd import Systemd
    from outbox_notify.postgres.storage import Storage
    from outbox_notify.relay.ports import Report
    from outbox_notify.relay.routes import Routes


class Watch:
    """Takes the relay's reports, and shows what they tell.

    Args:
        settings: where to show it, and the database to look at.
        routes: which rest.
        systemd: whom to tell how it is.
        draining: whether the relay ends by itself: then only its log tells of it.
    """

    def __init__(self, settings: Settings, routes: Routes, systemd: Systemd, *, draining: bool) -> None:
        self._settings = settings
        self._routes = routes
        self._clean = cleaner(settings)
        self._tally = Tally()
        self._health = Health(listens=listens(settings), patience=patience(settings), resting=self._resting)
        takers: list[Report] = [Narrator(get_logger())]
        self.shown = settings.http is not None and not draining
        if self.shown:
            takers.append(Meter(self._tally, listens=listens(settings)))
        heralded = systemd.listens and not draining
        if self.shown or heralded:
            takers.append(self._health)
        if heralded:
            takers.append(Herald(systemd, self._troubles))
        if (traced := spans()) is not None:
            takers.append(traced)
        self.report = to_each(*takers)

    def over(self, storage: Storage) -> WatchedOutbox:
        """Return the table with a clock beside it."""
        return WatchedOutbox(storage, self.report)

    async def run(self) -> None:
        """Show it until cancelled; return at once when it is not to be shown, or the port is taken."""
        address = self._settings.http
        if address is None or not self.shown:
            return
        # In a thread, and so in small pieces: events go on meanwhile.
        await anyio.to_thread.run_sync(_import_libraries)
        from outbox_notify.http.server import bound, serve

        try:
            listening = bound(address)
        except OSError as error:
            self.report("http.unavailable", address=address, reason=error.strerror or str(error))
            return
        host, port = listening.getsockname()[:2]
        self.report("http.ready", address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        lookout = Lookout(self._settings, self.report)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lookout.run)
            await serve(listening, self._views(lookout), self._settings.http_auth)

    def _views(self, lookout: Lookout) -> Views:
        from outbox_notify.http.views import Views
        from outbox_notify.observability.exposition import Exposition

        async def status() -> dict[str, Any]:
            try:
                document: dict[str, Any] = self._clean(await lookout.status())
            except OutboxError as error:
                raise OutboxError(self._clean(str(error))) from None
            return document

        return Views(self._troubles, Exposition(self._tally, self._refresh).written, status)

    def _troubles(self) -> list[dict[str, str]]:
        return [self._clean(trouble._asdict()) for trouble in self._health.troubles()]

    def _refresh(self) -> None:
        """Set what is only worth knowing when somebody asks."""
        routes = sorted(self._resting())
        self._tally.forget(catalog.ROUTE_RESTING)
        for route in routes[: catalog.MOST_VALUES]:
            self._tally.set(catalog.ROUTE_RESTING, 1.0, route)
        if len(routes) > catalog.MOST_VALUES:
            self._tally.set(catalog.ROUTE_RESTING, len(routes) - catalog.MOST_VALUES, catalog.OTHER)

    def _resting(self) -> dict[str, str]:
        return self._routes.refused(time.monotonic())


def _import_libraries() -> None:
    import outbox_notify.http.server
    import outbox_notify.observability.exposition  # noqa: F401  # for those who import it next


def listens(settings: Settings) -> bool:
    """Return whether a relay uses NOTIFY at all."""
    return settings.wake != "poll"


def patience(settings: Settings) -> float:
    """Return for how long events may wait before that is worth an alarm: what mends itself has to fit in."""
    return settings.lease + settings.publish_timeout + settings.sweep_interval
