-- How many events have waited for a time that has come, and how many still wait, for `status`: as in
-- status_counted.sql, in the order in which they come due.
WITH RECURSIVE counted AS (
    SELECT
        0::bigint AS due, 0::bigint AS scheduled, 0::bigint AS rows, '-infinity'::timestamptz AS last_time,
        0::bigint AS last_id, false AS complete, clock_timestamp() AS began
    UNION ALL
    SELECT
        counted.due + piece.due, counted.scheduled + piece.rows - piece.due, counted.rows + piece.rows,
        piece.last_time, piece.last_id, piece.rows < 10000, counted.began
    FROM counted
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS rows,
            count(*) FILTER (WHERE available_at <= now()) AS due,
            max(available_at) AS last_time,
            max(id) FILTER (WHERE place = 10000) AS last_id
        FROM (
            SELECT available_at, id, row_number() OVER (ORDER BY available_at, id) AS place
            FROM {schema}.event_outbox
            WHERE status = 'pending' AND available_at > created_at
                AND (available_at, id) > (counted.last_time, counted.last_id)
            ORDER BY available_at, id
            LIMIT 10000) AS next
    ) AS piece
    WHERE NOT counted.complete AND (
        counted.rows = 0 OR clock_timestamp() - counted.began < %(within)s::float8 * interval '1 second')
)
SELECT due, scheduled, complete FROM counted ORDER BY rows DESC, complete DESC LIMIT 1
