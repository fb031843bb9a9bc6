-- Where `migrate` finds itself: what exists, and what the role may do there.
-- The privilege functions raise an error for a name that is missing, so they are asked with the oid of its row.
SELECT
    namespace.oid IS NOT NULL AS has_schema,
    coalesce(
        has_schema_privilege(namespace.oid, 'CREATE') AND has_schema_privilege(namespace.oid, 'USAGE'),
        false
    ) AS may_create_in_schema,
    has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
    history.oid IS NOT NULL AS has_history,
    current_user::text AS role,
    current_database()::text AS database
FROM (VALUES (1)) AS always
LEFT JOIN pg_catalog.pg_namespace AS namespace ON namespace.nspname = %(schema)s
LEFT JOIN pg_catalog.pg_class AS history
    ON history.relnamespace = namespace.oid AND history.relname = 'event_outbox_migration'
