"""A soak from its beginning to its account."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak.account import Account
from tests.soak.conductor import Conductor
from tests.soak.evidence import bites, lines, total
from tests.soak.plan import distance_of_nats, plan
from tests.soak.screen import Screen
from tests.soak.stage import Stage
from tests.soak.writers import in_one_account, writers, writing
from tests.support.checker import check
from tests.support.outbox import outbox_table
from tests.support.stream import read_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.conductor import Strike
    from tests.soak.writers import Writer
    from tests.support.outbox import Row
    from tests.support.stream import StreamMessage

_SETTLES_WITHIN = 120.0


@dataclass(frozen=True)
class Options:
    """What to soak.

    Args:
        seconds: for which faults are done.
        seed: chooses them.
        batched: whether the stream allows batches.
        postgres: its version.
        keep: whether logs are kept also when all is well.
    """

    seconds: float
    seed: int
    batched: bool = True
    postgres: int = 18
    keep: bool = False


def soak(options: Options) -> Account:
    """Run a soak; call it in the main thread. Logs are kept when something is not well."""
    folder = Path(tempfile.mkdtemp(prefix="outbox-soak-"))
    try:
        account = _soak(options, folder)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    except BaseException as error:
        error.add_note(f"seed {options.seed}; logs are kept in {folder}")
        raise
    if options.keep or not account.all_well:
        return replace(account, logs=folder)
    shutil.rmtree(folder)
    return account


def _soak(options: Options, folder: Path) -> Account:
    with (
        Stage(
            folder,
            distance=distance_of_nats(options.seed),
            batched=options.batched,
            version=options.postgres,
        ) as stage,
        (folder / "faults.log").open("w", encoding="utf-8") as log,
    ):
        services = writers(stage.postgres.url, options.seed)
        screen = Screen(services, options.seconds, log)
        screen.say(f"seed {options.seed}; logs in {folder}")
        conductor = Conductor(stage, plan(options.seed, options.seconds), screen)
        with writing(services):
            conductor.run(options.seconds)
            over = time.monotonic()
        screen.say("no more faults: waiting until all is settled")
        _wait_until_settled(stage)
        recovered = time.monotonic() - over
        stage.stop_relays()
        return _account(options, stage, services, conductor.strikes, recovered)


def _wait_until_settled(stage: Stage) -> None:
    with outbox_table(stage.postgres.url) as table:
        try:
            table.wait_until_settled(_SETTLES_WITHIN)
        except AssertionError as error:
            stage.problems.append(str(error))


def _account(
    options: Options, stage: Stage, services: Sequence[Writer], strikes: Sequence[Strike], recovered: float
) -> Account:
    with outbox_table(stage.postgres.url) as table:
        rows = table.rows()
    stream = read_stream(stage.nats.url)
    ledger = in_one_account(services)
    written = {row.event_id for row in rows}
    unsure = set().union(*(service.ledger.committed for service in services if not service.waits))
    told = lines(stage.relays)
    account = Account(
        seed=options.seed,
        seconds=options.seconds,
        stream="batches allowed" if options.batched else "plain",
        distance=distance_of_nats(options.seed),
        verdict=check(ledger, rows, stream),
        vanished=sorted(ledger.committed - written),
        problems=stage.problems,
        committed=len(rows),
        undone=len(unsure - written),
        messages=len(stream),
        reclaims=total(told, "lease.expired", "reclaimed"),
        fenced=total(told, "lease.lost", "events"),
        recover_s=round(recovered, 1),
        bites=bites(strikes, told),
    )
    _keep(stage.folder, account, rows, stream)
    return account


def _keep(folder: Path, account: Account, rows: Sequence[Row], stream: Sequence[StreamMessage]) -> None:
    """Write down what an investigation needs."""
    texts = {
        "account.json": [{**account.as_json(), **asdict(account.verdict)}],
        "rows.jsonl": [asdict(row) for row in rows],
        "stream.jsonl": [
            {"sequence": message.sequence, "event_id": message.event_id, "stored_at": str(message.stored_at)}
            for message in stream
        ],
    }
    for name, objects in texts.items():
        (folder / name).write_text("".join(f"{json.dumps(thing)}\n" for thing in objects), encoding="utf-8")
