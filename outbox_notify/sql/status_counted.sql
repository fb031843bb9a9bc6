-- How many events are `meant` by the statement that this continues, for `status`: counted piece by piece until its time
-- is up, so that no look becomes a burden however many there are; `complete` tells whether it came to the end.
counted AS (
    SELECT 0::bigint AS events, 0::bigint AS last_id, false AS complete, clock_timestamp() AS began
    UNION ALL
    SELECT counted.events + piece.events, piece.last_id, piece.events < 10000, counted.began
    FROM counted
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, max(id) AS last_id
        FROM (SELECT id FROM meant WHERE id > counted.last_id ORDER BY id LIMIT 10000) AS next
    ) AS piece
    WHERE NOT counted.complete AND (
        counted.events = 0 OR clock_timestamp() - counted.began < %(within)s::float8 * interval '1 second')
)
SELECT events, complete FROM counted ORDER BY events DESC, complete DESC LIMIT 1
