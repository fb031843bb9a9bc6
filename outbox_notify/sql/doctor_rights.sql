-- What the role of a relay lacks, for `doctor`, each with the statement that grants it; the list is that of
-- deploy/roles.sql. Tables and sequences that are missing are the schema's matter.
WITH outbox AS (
    SELECT '{schema}.event_outbox'::regclass::oid AS oid, to_regnamespace('{schema}')::oid AS namespace
),
needed (subject, held, grant_of) AS (
    SELECT 'USAGE on the schema', has_schema_privilege(namespace, 'USAGE'), 'USAGE ON SCHEMA {schema}'
    FROM outbox
    UNION ALL
    SELECT
        format('%%s on %%s', privilege, relation),
        has_table_privilege(to_regclass('{schema}.' || relation), privilege),
        format('%%s ON {schema}.%%I', privilege, relation)
    FROM (VALUES
        ('SELECT', 'event_outbox'), ('DELETE', 'event_outbox'),
        ('SELECT', 'event_outbox_pause'), ('SELECT', 'event_outbox_migration')) AS whole (privilege, relation)
    WHERE to_regclass('{schema}.' || relation) IS NOT NULL
    UNION ALL
    SELECT
        format('UPDATE of %%s', attname),
        has_column_privilege(outbox.oid, attnum, 'UPDATE'),
        format('UPDATE (%%I) ON {schema}.event_outbox', attname)
    FROM outbox
    JOIN pg_catalog.pg_attribute ON attrelid = outbox.oid
    WHERE attname IN ('status', 'available_at', 'attempts', 'claims', 'lease_token', 'lease_until', 'claimed_by',
        'published_at', 'last_error')
    UNION ALL
    SELECT
        format('USAGE on %%s', relname),
        has_sequence_privilege(pg_class.oid, 'USAGE'),
        format('USAGE ON SEQUENCE {schema}.%%I', relname)
    FROM outbox
    JOIN pg_catalog.pg_class ON relnamespace = namespace
    WHERE relkind = 'S' AND relname = 'event_outbox_lease_seq'
    UNION ALL
    SELECT
        format('EXECUTE on %%s', function::text),
        has_function_privilege(function, 'EXECUTE'),
        format('EXECUTE ON FUNCTION %%s', function::text)
    FROM (
        SELECT pg_proc.oid::regprocedure
        FROM outbox
        JOIN pg_catalog.pg_proc ON pronamespace = namespace
        WHERE starts_with(proname::text, 'event_outbox')
        UNION ALL
        SELECT ('pg_catalog.' || unnest(ARRAY[
            'pg_advisory_lock(int, int)',
            'pg_try_advisory_lock(int, int)',
            'pg_advisory_unlock(int, int)',
            'pg_advisory_unlock_all()',
            'pg_advisory_xact_lock(int, int)',
            'pg_try_advisory_xact_lock(int, int)',
            'pg_current_snapshot()',
            'pg_snapshot_xip(pg_snapshot)',
            'pg_sequence_last_value(regclass)',
            'pg_snapshot_xmax(pg_snapshot)',
            'pg_visible_in_snapshot(xid8, pg_snapshot)',
            'pg_current_xact_id()',
            'pg_listening_channels()',
            'pg_notification_queue_usage()',
            'pg_notify(text, text)'
        ]))::regprocedure
    ) AS called (function)
)
SELECT subject AS what, format('GRANT %%s TO %%I', grant_of, current_user) AS mend
FROM needed
WHERE NOT held
ORDER BY subject
