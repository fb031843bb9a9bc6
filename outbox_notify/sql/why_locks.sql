-- Who is in the way of a claim, from what everybody may read: how long a transaction is open is null for who may not
-- read the activity of others.
--
-- table   holds a lock on the outbox that no claim gets past
-- writer  has written to the outbox, or is about to: what it wrote does not exist for others before its commit
-- turn    holds the turn to claim (claim_begin.sql)
-- row     has locked or changed the row of the event in a transaction that is still open
SELECT
    held.kind,
    held.pid,
    held.mode,
    coalesce(activity.application_name, 'prepared transaction ' || prepared.gid, '') AS name,
    coalesce(activity.usename, prepared.owner)::text AS role,
    extract(epoch FROM now() - coalesce(activity.xact_start, prepared.prepared))::float8 AS open_seconds
FROM (
    SELECT
        CASE WHEN mode = 'RowExclusiveLock' THEN 'writer' ELSE 'table' END AS kind,
        pid,
        mode,
        -- Without a process it is prepared; what it holds has its virtual transaction in common.
        CASE WHEN pid IS NULL THEN (
            SELECT own.transactionid::text
            FROM pg_catalog.pg_locks AS own
            WHERE own.pid IS NULL AND own.transactionid IS NOT NULL
                AND own.virtualtransaction = lock.virtualtransaction
            LIMIT 1)
        END AS transaction
    FROM pg_catalog.pg_locks AS lock
    WHERE granted
        AND relation = '{schema}.event_outbox'::regclass
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND mode IN (
            'RowExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    UNION ALL
    SELECT 'turn', lock.pid, lock.mode, NULL
    FROM pg_catalog.pg_locks AS lock
    CROSS JOIN {schema}.event_outbox_wake() AS keys
    WHERE lock.granted
        AND lock.locktype = 'advisory'
        AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND lock.classid::bigint = ((keys.lock_k1::bigint + 1) & 4294967295)
        AND lock.objid::bigint = (keys.lock_k2::bigint & 4294967295)
        AND lock.objsubid = 2
    UNION ALL
    SELECT 'row', pid, NULL, NULL
    FROM pg_catalog.pg_stat_activity
    WHERE backend_xid::text = %(locker)s::text
    UNION ALL
    SELECT 'row', NULL, NULL, transaction::text
    FROM pg_catalog.pg_prepared_xacts
    WHERE transaction::text = %(locker)s::text
) AS held
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = held.pid
LEFT JOIN pg_catalog.pg_prepared_xacts AS prepared ON prepared.transaction::text = held.transaction
WHERE held.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY open_seconds DESC NULLS LAST, held.pid
