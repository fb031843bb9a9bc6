-- Whose transaction has held the horizon of this database for longest, if longer than `long` seconds: dead rows that it
-- may still see stay, and claims pass by them. Only who may see the sessions of others is told since when.
SELECT 'horizon' AS kind, pid, NULL AS mode, name, role, open_seconds
FROM (
    SELECT
        pid,
        coalesce(application_name, '') AS name,
        usename::text AS role,
        extract(epoch FROM now() - xact_start)::float8 AS open_seconds
    FROM pg_catalog.pg_stat_activity
    WHERE datname = current_database()
        AND pid <> pg_backend_pid()
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
        AND backend_type IS DISTINCT FROM 'autovacuum worker'
    UNION ALL
    SELECT NULL, 'prepared transaction ' || gid, owner::text, extract(epoch FROM now() - prepared)::float8
    FROM pg_catalog.pg_prepared_xacts
    WHERE database = current_database()
) AS holder
WHERE open_seconds > %(long)s::float8
ORDER BY open_seconds DESC
LIMIT 1
