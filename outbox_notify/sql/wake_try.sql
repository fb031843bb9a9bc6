-- Try the wake lock; when it is taken, tell whether by another relay or only by writers on their way.
-- The queue of a lock is ordered: the second column is looked at only when the try failed.
SELECT
    try.granted,
    NOT try.granted AND EXISTS (
        SELECT
        FROM pg_locks
        WHERE locktype = 'advisory'
            AND mode = 'ExclusiveLock'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = (%(k1)s::int::bigint & 4294967295)
            AND objid::bigint = (%(k2)s::int::bigint & 4294967295)
            AND objsubid = 2
            AND pid <> pg_backend_pid()
    ) AS taken
FROM (SELECT pg_try_advisory_lock(%(k1)s::int, %(k2)s::int) AS granted OFFSET 0) AS try
