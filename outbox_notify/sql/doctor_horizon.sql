-- Who holds the horizon of this database, the oldest first, for `doctor`: dead rows that are younger than what these may
-- still see are kept. How old a transaction is in seconds, only those may know who may see the sessions of others.
SELECT kind, name, transactions, seconds, state, mend
FROM (
    SELECT
        'session' AS kind,
        pid::text AS name,
        greatest(age(backend_xmin), age(backend_xid)) AS transactions,
        extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
        concat_ws(', ', usename, nullif(application_name, ''), state) AS state,
        format('SELECT pg_terminate_backend(%%s)', pid) AS mend
    FROM pg_catalog.pg_stat_activity
    WHERE pid <> pg_backend_pid()
        AND (datname = current_database() OR datid IS NULL OR datid = 0)
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
        -- VACUUM does not hold up VACUUM.
        AND backend_type IS DISTINCT FROM 'autovacuum worker'
    UNION ALL
    SELECT
        'prepared transaction', gid, age(transaction), extract(epoch FROM clock_timestamp() - prepared)::float8, owner::text,
        format('ROLLBACK PREPARED %%L, or COMMIT PREPARED', gid)
    FROM pg_catalog.pg_prepared_xacts
    WHERE database = current_database()
    UNION ALL
    SELECT
        'replication slot', slot_name::text, age(xmin), NULL,
        CASE WHEN active THEN 'active' ELSE 'not in use' END,
        format('SELECT pg_drop_replication_slot(%%L)', slot_name)
    FROM pg_catalog.pg_replication_slots
    WHERE xmin IS NOT NULL
) AS holder
ORDER BY transactions DESC, seconds DESC NULLS LAST
LIMIT 1
