-- Read of the events of one lease what can be read whatever their bodies are: no text that a writer was free in, and
-- nothing that only a message needs. The columns stand in the order of ClaimedEvent's fields, as in event_columns.sql.
SELECT
    id,
    event_id::text AS event_id,
    tenant_id::text AS tenant_id,
    event_type::text AS event_type,
    NULL AS aggregate_type,
    NULL AS aggregate_id,
    '' AS content_type,
    NULL AS headers,
    '' AS created_at,
    ordering_key,
    attempts,
    NULL::bytea AS body,
    claims > 1 OR attempts > 0 OR last_error IS NOT NULL AS tried
FROM {schema}.event_outbox
WHERE status = 'in_progress' AND lease_token = %(token)s::uuid
ORDER BY lease_token, id
