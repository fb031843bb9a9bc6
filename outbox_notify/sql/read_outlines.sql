-- Read of the events of one lease what can be read whatever their bodies are: no text that a writer was free in. The
-- columns stand in the order of ClaimedEvent's fields, as in read_bodies.sql.
SELECT
    id,
    event_id::text AS event_id,
    tenant_id::text AS tenant_id,
    event_type::text AS event_type,
    NULL AS aggregate_type,
    NULL AS aggregate_id,
    content_type::text AS content_type,
    NULL AS headers,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
    ordering_key,
    attempts,
    NULL::bytea AS body,
    claims > 1 OR attempts > 0 OR last_error IS NOT NULL AS tried
FROM {schema}.event_outbox
WHERE status = 'in_progress' AND lease_token = %(token)s::uuid
ORDER BY lease_token, id
