-- How many events are due before one, 100,000 at most.
SELECT count(*)
FROM (
    SELECT
    FROM {schema}.event_outbox
    WHERE status = 'pending' AND available_at <= created_at AND id < %(id)s::bigint
    ORDER BY id
    LIMIT 100000) AS earlier
