-- Take turns with other migrate processes. A try, asked again by the client: a statement that waited for the lock would
-- hold a snapshot, which CREATE INDEX CONCURRENTLY in the process that has the turn waits for.
SELECT pg_try_advisory_xact_lock(hashtextextended('outbox-notify migrate ' || %(schema)s, 0)) AS taken
