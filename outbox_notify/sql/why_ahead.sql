-- The first unfinished event of an aggregate before one of its events: in somebody's hands, tried and returned, failed
-- where that holds back (block), or not tried yet, sought among the 20,000 that come first.
SELECT id
FROM (
    (SELECT id FROM {schema}.event_outbox
     WHERE status = 'in_progress' AND ordering_key = %(key)s::bigint AND id < %(id)s::bigint
     ORDER BY id LIMIT 1)
    UNION ALL
    (SELECT id FROM {schema}.event_outbox
     WHERE status = 'pending' AND ordering_key = %(key)s::bigint AND (attempts > 0 OR last_error IS NOT NULL)
        AND id < %(id)s::bigint
     ORDER BY ordering_key, id LIMIT 1)
    UNION ALL
    (SELECT id FROM {schema}.event_outbox
     WHERE status = 'failed' AND ordering_key = %(key)s::bigint AND id < %(id)s::bigint AND %(block)s::boolean
     ORDER BY ordering_key, id LIMIT 1)
    UNION ALL
    (SELECT id
     FROM (
        SELECT id, ordering_key
        FROM {schema}.event_outbox
        WHERE status = 'pending' AND available_at <= created_at AND id < %(id)s::bigint
        ORDER BY id
        LIMIT 20000) AS next
     WHERE ordering_key = %(key)s::bigint
     ORDER BY id LIMIT 1)
) AS earlier
ORDER BY id
LIMIT 1
