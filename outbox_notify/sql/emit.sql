-- Write events in the order of the arguments, for writers of any role.
-- Parameters: events, a JSON array of objects; bodies, the payload_bytes at the same places, or null if none has any.
--
-- One statement however many events there are: executemany would run one for each. A single JSON text, because it
-- costs the client less than an array per column; bytes travel beside it, so that they need no encoding.
-- Cast from text, or a codec that an application gave its driver for json would encode it once more.
-- ORDER BY position, so that ids are drawn in the order of the arguments: "in order" means the order of id.
-- Nothing is returned, because that would need SELECT; a writer has INSERT only. A row id that is taken, since the
-- sequence has gone back, is an error here; see emit_once.sql.
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
