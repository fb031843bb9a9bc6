-- Write events as emit.sql does, of which some bring their own id and may be there already.
--
-- ON CONFLICT names no target, because that would need SELECT; a writer has INSERT only. So it also leaves out, without
-- a word, an event whose row id is taken: after a restore or a failover that has set the sequence back. Only those whose
-- writer asked for repeats to be ignored take that risk.
INSERT INTO {schema}.event_outbox (
    event_id, tenant_id, event_type, aggregate_type, aggregate_id,
    content_type, headers, available_at, payload, payload_bytes
)
SELECT
    event_id, tenant_id, event_type, aggregate_type, aggregate_id,
    content_type, headers, coalesce(available_at, now()), payload, payload_bytes
FROM ROWS FROM (
    json_to_recordset(%(events)s::text::json) AS (
        event_id uuid, tenant_id text, event_type text, aggregate_type text, aggregate_id text,
        content_type text, headers jsonb, available_at timestamptz, payload jsonb
    ),
    unnest(%(bodies)b::bytea[])
) WITH ORDINALITY AS event (
    event_id, tenant_id, event_type, aggregate_type, aggregate_id,
    content_type, headers, available_at, payload, payload_bytes, position
)
ORDER BY position
ON CONFLICT DO NOTHING
