-- Roles with the least rights: a writer, the relay and an operator. Run it after each `outbox-notify migrate`, with psql,
-- as the owner of the outbox; running it again is harmless, and sets the rights back to what is written here.
--
--   psql -f deploy/roles.sql "$OUTBOX_DATABASE_URL"
--   psql -v schema=outbox -v writer=app -v relay=outbox_relay -v operator=outbox_operator -f deploy/roles.sql ...
--
-- Roles that are missing are made without LOGIN: grant them to the users that log in (GRANT outbox_writer TO app), or
-- name existing roles as above. Making roles needs CREATEROLE. PostgreSQL 14 or newer.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?schema}   \else \set schema public            \endif
\if :{?writer}   \else \set writer outbox_writer     \endif
\if :{?relay}    \else \set relay outbox_relay       \endif
\if :{?operator} \else \set operator outbox_operator \endif

-- One transaction: nobody sees the moment between taking rights away and giving them.
BEGIN;

SELECT format('CREATE ROLE %I NOLOGIN', wanted)
FROM unnest(ARRAY[:'writer', :'relay', :'operator']) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)
\gexec

GRANT USAGE ON SCHEMA :"schema" TO :"writer", :"relay", :"operator";
REVOKE ALL ON
    :"schema".event_outbox, :"schema".event_outbox_migration,
    :"schema".event_outbox_audit, :"schema".event_outbox_pause, :"schema".event_outbox_replay
FROM :"writer", :"relay", :"operator";

-- A writer adds events, and cannot see, change or remove any. What the relay keeps in a row is not its to set.
GRANT INSERT (
    event_id, tenant_id, event_type, aggregate_type, aggregate_id,
    payload, payload_bytes, content_type, headers, available_at
) ON :"schema".event_outbox TO :"writer";

-- The relay claims, settles and prunes; what the writer wrote stays as it is.
GRANT SELECT, DELETE, UPDATE (
    status, available_at, attempts, claims, lease_token, lease_until, claimed_by, published_at, last_error
) ON :"schema".event_outbox TO :"relay";

-- An operator looks, requeues, discards and prunes. A new event_id is for `failed requeue --new-id`.
GRANT SELECT, DELETE, UPDATE (
    status, available_at, attempts, claims, event_id, last_error
) ON :"schema".event_outbox TO :"operator";

-- An operator pauses and replays, and leaves a trace that it can neither forge the role and the time of nor remove: of what
-- it has written, only the count may grow with the act.
GRANT SELECT, INSERT (client, act, arguments, events), UPDATE (events) ON :"schema".event_outbox_audit TO :"operator";
GRANT SELECT, DELETE, INSERT (tenant_id, event_type, until, reason) ON :"schema".event_outbox_pause TO :"operator";
GRANT SELECT, INSERT (id, audit_id, prefix, which, last_id, events),
    UPDATE (finished_at, position, sent_to, replayed, duplicates, refused)
ON :"schema".event_outbox_replay TO :"operator";

GRANT SELECT ON :"schema".event_outbox_pause TO :"relay";
GRANT SELECT ON :"schema".event_outbox_migration TO :"relay", :"operator";

-- Lease tokens come from a sequence; the one of the identity column needs no right.
SELECT format('GRANT USAGE ON SEQUENCE %I.%I TO %I', :'schema', relname, :'relay')
FROM pg_class
WHERE relkind = 'S' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :'schema')
  AND starts_with(relname::text, 'event_outbox')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i')
\gexec

-- Functions may be run by everyone unless that was revoked. Where it was, grant what each role calls: by itself, in a
-- default, a rule or a generated column, or in the trigger that wakes the relay.
WITH calls (role, function) AS (
    SELECT role, pg_proc.oid::regprocedure::text
    FROM unnest(ARRAY[:'writer', :'relay', :'operator']) AS role
    CROSS JOIN pg_proc
    JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname = :'schema' AND starts_with(proname::text, 'event_outbox')
    UNION ALL
    SELECT :'writer', pg_proc.oid::regprocedure::text
    FROM pg_proc
    JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname = :'schema' AND proname = 'outbox_emit'
    UNION ALL
    SELECT :'writer', 'pg_catalog.' || unnest(ARRAY[
        'pg_current_xact_id()',
        'pg_try_advisory_xact_lock_shared(int, int)',
        'pg_notification_queue_usage()',
        'pg_notify(text, text)',
        'pg_advisory_xact_lock(int, int)'
    ])
    UNION ALL
    SELECT :'relay', 'pg_catalog.' || unnest(ARRAY[
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
    ])
    UNION ALL
    SELECT :'operator', 'pg_catalog.pg_notify(text, text)'
)
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', function, role)
FROM calls
WHERE NOT has_function_privilege(role, function::regprocedure, 'EXECUTE')
\gexec

COMMIT;
