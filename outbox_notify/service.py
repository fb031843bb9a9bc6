"""The composition root: makes the parts, ties them together, and runs them until a signal."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Self

import anyio

from outbox_notify.errors import OutboxError, Unreachable
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.jetstream.publisher import Publisher
from outbox_notify.observability.systemd import Systemd
from outbox_notify.postgres.listener import Listener
from outbox_notify.postgres.storage import Storage
from outbox_notify.relay.claimer import Claimer
from outbox_notify.relay.delivery import Delivery
from outbox_notify.relay.loop import BATCHES_IN_HAND, Relay
from outbox_notify.relay.retry import full_jitter
from outbox_notify.relay.routes import Routes
from outbox_notify.relay.sweeper import Sweeper
from outbox_notify.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.outcomes import Outcome
    from outbox_notify.relay.ports import Report

# Of the shutdown timeout, this share may pass while waiting for acks; the rest is for giving back.
_PATIENCE = 0.7
_FAREWELL_TIMEOUT = 1.0


@dataclass(frozen=True)
class _Parts:
    storage: Storage
    listener: Listener
    publisher: Publisher
    sweeper: Sweeper
    relay: Relay

    @classmethod
    def made_for(
        cls,
        settings: Settings,
        routes: Routes,
        watch: Watch,
        renewed: Callable[[Settings], Settings],
        *,
        draining: bool,
    ) -> Self:
        random, report = SystemRandom(), watch.report

        def retry_in(attempt: int) -> float:
            return full_jitter(attempt, settings.retry_base, settings.retry_max, random)

        def resolve(ticket: Ticket, outcome: Outcome) -> None:
            delivery.resolve(ticket, outcome)

        storage = Storage(settings, retry_in)
        outbox = watch.over(storage)
        listener = Listener(settings, random, report)
        encoder = Encoder(settings.subject_prefix, settings.ce_source)
        publisher = Publisher(settings, encoder, resolve, report, renewed)
        claimer = Claimer(
            outbox,
            listener,
            routes,
            report,
            batch_size=settings.batch_size,
            batch_bytes=settings.max_in_flight_bytes // BATCHES_IN_HAND,
            sweep_interval=settings.sweep_interval,
        )
        delivery = Delivery(
            outbox,
            publisher,
            report,
            claimer.note,
            publish_timeout=settings.publish_timeout,
            max_attempts=settings.max_attempts,
            ordered=settings.ordering == "aggregate",
            block=settings.on_failed == "block",
        )

        def look_again(first: int) -> None:
            claimer.lower(first)
            listener.stir()

        sweeper = Sweeper(
            outbox, look_again, report, interval=settings.sweep_interval, prunes=settings.retention > 0
        )
        relay = Relay(claimer, delivery, publisher, listener, report, lease=settings.lease, draining=draining)
        return cls(storage, listener, publisher, sweeper, relay)


async def run_relay(
    settings: Settings,
    *,
    drain: bool = False,
    renewed: Callable[[Settings], Settings] = lambda settings: settings,
) -> None:
    """Run a relay until it is told to stop, or, when draining, until nothing is due any more.

    The first SIGTERM or SIGINT stops claiming and settles what is in hand; a second gives it back at once. Only the
    main thread receives signals: in another one it runs until it has drained, or is cancelled.

    Args:
        settings: all of them.
        drain: whether to end when nothing is due.
        renewed: returns settings with credentials for NATS as they stand now.

    Raises:
        Unreachable: draining made no progress for the shutdown timeout.
        SchemaError: the outbox is missing, or not what this version works with.
        NotPermitted: the role lacks a right.
    """
    routes = Routes()
    systemd = Systemd.from_environment()
    watch = Watch(settings, routes, systemd, draining=drain)
    report = watch.report
    parts = _Parts.made_for(settings, routes, watch, renewed, draining=drain)
    async with parts.storage.opened(), anyio.create_task_group() as tasks:
        at_once = anyio.CancelScope()
        # Before anybody hears that it is ready: until then a signal ends the process on the spot.
        if threading.current_thread() is threading.main_thread():
            await tasks.start(_obey_signals, parts.relay, at_once, systemd, report, settings.shutdown_timeout)
        for run in (parts.publisher.run, parts.listener.run, parts.sweeper.run):
            tasks.start_soon(run)
        tasks.start_soon(_feed_watchdog, systemd)
        if drain:
            tasks.start_soon(_stop_when_drained, parts.relay, parts.publisher, settings.shutdown_timeout)
        report("relay.ready", relay=settings.relay_id, schema=settings.schema, stream=settings.stream)
        # Servers may still be away: no start takes too long for the service manager on their account.
        systemd.ready("started")
        tasks.start_soon(watch.run)
        with at_once:
            await parts.relay.run()
        await parts.listener.let_go()
        await _farewell(parts.storage.ask_for_scan)
        if drain:
            await _farewell(partial(_tell_what_is_left, parts.storage, report))
        report("relay.stopped", settled=parts.relay.progress)
        tasks.cancel_scope.cancel()


async def _obey_signals(
    relay: Relay,
    at_once: anyio.CancelScope,
    systemd: Systemd,
    report: Report,
    within: float,
    *,
    task_status: TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for received in signals:
            report("relay.stopping", signal=received.name, within=within)
            systemd.stopping("settling what is in hand", within + 5)
            relay.stop()
            break
        with anyio.move_on_after(within * _PATIENCE):
            async for _ in signals:
                break
        at_once.cancel()


async def _stop_when_drained(relay: Relay, publisher: Publisher, patience: float) -> None:
    while not relay.drained.is_set():
        before = relay.progress
        with anyio.move_on_after(patience):
            await relay.drained.wait()
        if not relay.drained.is_set() and relay.progress == before:
            reason = publisher.outage or relay.trouble or "events are due, but none got through"
            raise Unreachable(f"no progress for {patience:g} s: {reason}")
    relay.stop()


async def _feed_watchdog(systemd: Systemd) -> None:
    """Show that the event loop turns; whether servers are there is none of the watchdog's business."""
    while systemd.watchdog_interval is not None:
        systemd.alive()
        await anyio.sleep(systemd.watchdog_interval)


async def _tell_what_is_left(storage: Storage, report: Report) -> None:
    for other in await storage.held():
        lease_left = round(other.lease_left_seconds, 1)
        report("drain.left", relay=other.relay, events=other.in_progress, lease_left=lease_left)


async def _farewell(act: Callable[[], Awaitable[None]]) -> None:
    """Do what others would like, and not more than try: let them look at once for what this relay gave back."""
    with anyio.move_on_after(_FAREWELL_TIMEOUT):
        try:
            await act()
        except OutboxError:
            return  # PostgreSQL is away: others find with their next sweep what was given back
