-- What the outbox keeps about one event, without its body, for `why`. Seconds are by the database's clock. An available_at
-- of infinity is null; locker is the transaction that was the last to lock or change the row.
SELECT
    id,
    event_id,
    tenant_id::text,
    event_type::text,
    aggregate_type::text,
    aggregate_id::text,
    status::text,
    attempts,
    claims,
    last_error,
    created_at,
    CASE WHEN isfinite(available_at) THEN available_at END AS available_at,
    published_at,
    claimed_by,
    lease_until,
    ordering_key,
    CASE WHEN isfinite(available_at) THEN extract(epoch FROM available_at - now())::float8 END AS due_in,
    available_at > now() AS waits,
    extract(epoch FROM lease_until - now())::float8 AS lease_left,
    xmax::text AS locker
FROM {schema}.event_outbox
WHERE id = (
    SELECT id FROM {schema}.event_outbox WHERE id = %(id)s::bigint
    UNION ALL
    SELECT id FROM {schema}.event_outbox WHERE event_id = %(event_id)s::uuid
    LIMIT 1)
