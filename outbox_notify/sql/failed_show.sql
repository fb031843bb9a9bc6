-- One failed event, its body included.
SELECT
    id, event_id, tenant_id::text, event_type::text, aggregate_type::text, aggregate_id::text,
    content_type::text, headers, created_at, available_at, attempts, claims, last_error, payload, payload_bytes
FROM {schema}.event_outbox
WHERE id = %(id)s::bigint AND status = 'failed'
