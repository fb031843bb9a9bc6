-- Roles that may insert events and not call what inserting calls, for `doctor`: their inserts end with 42501.
SELECT rolname::text AS role, function::text AS function
FROM pg_catalog.pg_roles
CROSS JOIN (
    SELECT ('pg_catalog.' || unnest(ARRAY[
        'pg_current_xact_id()',
        'pg_try_advisory_xact_lock_shared(int, int)',
        'pg_notification_queue_usage()',
        'pg_notify(text, text)'
    ]))::regprocedure
    UNION ALL
    SELECT pg_proc.oid::regprocedure
    FROM pg_catalog.pg_proc
    WHERE pronamespace = to_regnamespace('{schema}') AND starts_with(proname::text, 'event_outbox')
        AND proname NOT IN ('event_outbox_wake', 'event_outbox_notify')
) AS called (function)
WHERE NOT starts_with(rolname::text, 'pg_')
    AND has_any_column_privilege(pg_roles.oid, '{schema}.event_outbox'::regclass, 'INSERT')
    AND NOT has_function_privilege(pg_roles.oid, function, 'EXECUTE')
ORDER BY role, function
LIMIT 10
