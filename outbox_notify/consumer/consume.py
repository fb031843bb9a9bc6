"""Where a consumer is put together: the durable, its connection, the handler and the signals."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import anyio

from outbox_notify.config.settings import Settings
from outbox_notify.consumer.attempts import Attempts
from outbox_notify.consumer.durable import Durable
from outbox_notify.consumer.line import Line
from outbox_notify.consumer.outcomes import Patience
from outbox_notify.consumer.worker import Worker
from outbox_notify.errors import ConfigError, OutboxError
from outbox_notify.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import TaskStatus

    from outbox_notify.consumer.message import Message

# Messages without an answer, in all processes of a consumer that handles several at once: JetStream's own default.
_PENDING = 1000


async def consume(
    nats_url: str,
    stream: str,
    durable: str,
    handler: Callable[[Message], Awaitable[None]],
    *,
    filter_subjects: Sequence[str] = (),
    concurrency: int = 1,
    on_rejected: Callable[[Message, str], Awaitable[None]] | None = None,
    max_attempts: int | None = None,
    retry_base: float = 0.5,
    retry_max: float = 60.0,
    handler_timeout: float | None = None,
    ack_wait: float = 30.0,
    max_ack_pending: int | None = None,
    deliver: Literal["all", "new"] = "all",
    create: bool = True,
    stop_within: float = 25.0,
    stopping: anyio.Event | None = None,
    settings: Settings | None = None,
) -> None:
    """Hand the messages of a durable to a handler, until told to stop.

    A message is acked when the handler has returned; so it must have committed by then. An error gives the message
    back, to be tried again later; `Reject` ends it. Lost connections and servers that are away are waited for.

    With `concurrency=1`, JetStream hands out one message at a time, to all processes together: each is handled after
    the one before it, also when that is tried again, and whatever dies. With more, events without an aggregate go
    side by side, and those of one aggregate after each other, as long as one process consumes and lives; what one
    that died had in hand comes again later, when others may have passed it.

    Args:
        nats_url: servers, parted by commas.
        stream: what the relay publishes to (`OUTBOX_STREAM`).
        durable: name of the consumer in JetStream; processes with the same name share its messages.
        handler: called with each message; the same event may come again (see `outbox_notify.inbox`).
        filter_subjects: only these, such as `events.*.goods.received`; all when empty.
        concurrency: handlers at once.
        on_rejected: called with each message that is not tried again, and why; when it fails, the message comes again.
        max_attempts: deliveries after which a message that fails again is rejected; None for never.
        retry_base: seconds before the second attempt; doubles with each one.
        retry_max: seconds before any attempt, at most.
        handler_timeout: seconds that the handler may take; None for no limit.
        ack_wait: seconds without a sign of life after which JetStream delivers a message again; signs are sent as
            long as the handler runs.
        max_ack_pending: messages without an answer in all processes; 1 unless `concurrency` is more. Setting more
            gives up the order, for several processes that share the work.
        deliver: where a new durable begins: with all that the stream holds, or with what comes now.
        create: create the durable, or bring it to these values; otherwise it must exist.
        stop_within: seconds that running handlers have to end in after a stop; then they are cancelled.
        stopping: set it to stop; without it, SIGTERM and SIGINT do, and a second one cancels handlers at once.
        settings: login and TLS of NATS, as `OUTBOX_NATS_*` has them.

    Raises:
        ConfigError: an argument is wrong, or the durable exists and cannot be had like this.
        NotPermitted: the user may not consume.
    """
    if concurrency < 1:
        raise ConfigError("concurrency: must be at least 1")
    login = replace(settings or Settings(), nats_url=nats_url, stream=stream, relay_id=durable)
    pending = max_ack_pending or (1 if concurrency == 1 else _PENDING)
    wanted = Durable(stream, durable, tuple(filter_subjects), ack_wait, pending, deliver, create)
    patience = Patience(retry_base, retry_max, max_attempts)
    worker = Worker(Attempts(handler, on_rejected, patience, handler_timeout), concurrency, ack_wait)
    line = Line(login, wanted, worker)
    try:
        async with anyio.create_task_group() as tasks:
            if stopping is None:
                await tasks.start(_obey_signals, worker)
            else:
                tasks.start_soon(_obey, stopping, worker)
            tasks.start_soon(line.keep)
            try:
                await worker.run(stop_within)
            finally:
                line.end()
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _only(group) from None
    get_logger().info("consumer.stopped", durable=durable, handled=worker.handled)


async def _obey_signals(worker: Worker, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for received in signals:
            get_logger().info("consumer.stopping", signal=received.name)
            worker.stop()


async def _obey(stopping: anyio.Event, worker: Worker) -> None:
    await stopping.wait()
    worker.stop()


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error of ours that ended it, or else the group."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
        found = found.exceptions[0]
    return found if isinstance(found, OutboxError) else group
