-- What was published in the last minute, and how long after it could have gone first. Published rows have no index: they
-- are sought among the newest 20,000 ids, and among as many before the first that is due. Where those reach back less
-- than a minute, the time that they do reach back is told.
WITH place AS MATERIALIZED (
    SELECT
        coalesce((SELECT id FROM {schema}.event_outbox ORDER BY id DESC LIMIT 1), 0) AS newest,
        (SELECT id FROM {schema}.event_outbox
         WHERE status = 'pending' AND available_at <= created_at
         ORDER BY id LIMIT 1) AS first_due
),
seen AS MATERIALIZED (
    SELECT event.id, event.published_at, event.created_at, event.available_at, event.attempts
    FROM place, {schema}.event_outbox AS event
    WHERE event.status = 'published' AND event.id > place.newest - 20000
    UNION
    SELECT event.id, event.published_at, event.created_at, event.available_at, event.attempts
    FROM place, {schema}.event_outbox AS event
    WHERE event.status = 'published' AND event.id < place.first_due AND event.id > place.first_due - 20000
),
reach AS (
    SELECT
        count(*) AS kept,
        -- Also younger than a minute where an older row lies just below what was looked at.
        coalesce(min(published_at) <= now() - interval '1 minute', true)
            OR (SELECT coalesce(first_due, newest) FROM place) <= 20000 AS whole
    FROM seen
)
SELECT
    reach.kept,
    count(recent.id) AS published,
    CASE
        WHEN reach.whole THEN 60.0
        ELSE extract(epoch FROM clock_timestamp() - min(recent.published_at))
    END::float8 AS window_seconds,
    (percentile_cont(0.5) WITHIN GROUP (ORDER BY recent.latency))::float8 AS p50_seconds,
    (percentile_cont(0.99) WITHIN GROUP (ORDER BY recent.latency))::float8 AS p99_seconds
FROM reach
LEFT JOIN (
    SELECT
        id,
        published_at,
        -- A retry has moved available_at; what a writer has scheduled counts from its time.
        extract(epoch FROM published_at
            - CASE WHEN attempts = 0 THEN greatest(created_at, available_at) ELSE created_at END) AS latency
    FROM seen
    WHERE published_at > now() - interval '1 minute'
) AS recent ON true
GROUP BY reach.kept, reach.whole
