-- The next events of a replay, in write order: as a relay reads them, but published ones. What was published after the
-- replay began is not meant, though its id may lie before the end.
WITH found AS MATERIALIZED (
    SELECT
        id,
        sum(coalesce(pg_column_size(payload), pg_column_size(payload_bytes))) OVER (ORDER BY id) AS bytes,
        row_number() OVER (ORDER BY id) AS row
    FROM (
        SELECT id, payload, payload_bytes
        {replay_meant}
            AND id > %(position)s::bigint
            AND id <= %(last_id)s::bigint
            AND published_at <= %(started_at)s::timestamptz
        ORDER BY id
        LIMIT %(rows)s::bigint
    ) AS next
)
SELECT
    {event_columns}
FROM {schema}.event_outbox
JOIN found USING (id)
WHERE found.row = 1 OR found.bytes <= %(bytes)s::bigint
ORDER BY id
