-- The same turn, for a file that cannot run in a transaction.
SELECT pg_try_advisory_lock(hashtextextended('outbox-notify migrate ' || %(schema)s, 0)) AS taken
