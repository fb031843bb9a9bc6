-- The largest event that waits, for `doctor`: of the 5,000 that come next of each kind, the 100 whose stored bodies are
-- the largest are opened. Its size is that of the body and of the row's own headers.
SELECT id, bytes
FROM (
    SELECT
        id,
        (coalesce(octet_length(payload_bytes), octet_length(payload::text)) + octet_length(headers::text))::bigint AS bytes
    FROM (
        SELECT id, payload, payload_bytes, headers
        FROM (
            (SELECT id, payload, payload_bytes, headers FROM {schema}.event_outbox
             WHERE status = 'pending' AND available_at <= created_at ORDER BY id LIMIT 5000)
            UNION ALL
            (SELECT id, payload, payload_bytes, headers FROM {schema}.event_outbox
             WHERE status = 'pending' AND available_at > created_at ORDER BY available_at, id LIMIT 5000)
        ) AS next
        ORDER BY coalesce(pg_column_size(payload_bytes), pg_column_size(payload)) DESC
        LIMIT 100
    ) AS heavy
) AS opened
ORDER BY bytes DESC, id
LIMIT 1
