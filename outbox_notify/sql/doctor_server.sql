-- What the server is and allows, for `doctor`. Asks only what every role may know: of the sessions of others, pid,
-- database, role and application name, by which relays are known.
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS number,
    current_user::text AS role,
    datname::text AS database,
    pg_encoding_to_char(encoding)::text AS encoding,
    pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only')::boolean AS read_only,
    current_setting('fsync')::boolean AS fsync,
    current_setting('full_page_writes')::boolean AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = current_database())::int AS prepared,
    current_setting('max_connections')::int AS max_connections,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
        - (SELECT coalesce(sum(numbackends), 0) FROM pg_catalog.pg_stat_database WHERE datid <> 0)::int
        AS free_connections,
    rolconnlimit AS role_limit,
    CASE WHEN rolconnlimit < 0 THEN 2147483647
        ELSE rolconnlimit - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user)
    END::int AS role_free,
    CASE WHEN datconnlimit < 0 THEN 2147483647
        ELSE datconnlimit - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = current_database())
    END::int AS database_free,
    ARRAY(
        SELECT application_name
        FROM pg_catalog.pg_stat_activity
        WHERE datname = current_database() AND starts_with(application_name, 'outbox-notify relay ')
    ) AS relays
FROM pg_catalog.pg_database
CROSS JOIN pg_catalog.pg_roles
WHERE datname = current_database() AND rolname = current_user
