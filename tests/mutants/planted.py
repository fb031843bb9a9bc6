"""All planted bugs, by the room that they are planted in."""

from __future__ import annotations

from tests.mutants import (
    batch_bugs,
    consumer_bugs,
    doctor_bugs,
    nats_bugs,
    relay_bugs,
    repair_bugs,
    schema_bugs,
    table_bugs,
    testing_bugs,
    wake_bugs,
    watch_bugs,
    writer_bugs,
)

BUGS = (
    *table_bugs.BUGS,
    *schema_bugs.BUGS,
    *relay_bugs.BUGS,
    *nats_bugs.BUGS,
    *batch_bugs.BUGS,
    *wake_bugs.BUGS,
    *repair_bugs.BUGS,
    *watch_bugs.BUGS,
    *doctor_bugs.BUGS,
    *writer_bugs.BUGS,
    *consumer_bugs.BUGS,
    *testing_bugs.BUGS,
)
