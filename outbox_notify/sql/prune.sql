-- Delete published events past retention, walking the primary key: no index on published rows is worth its price
-- at every publish. Returns where to go on, or null at the end of the table.
WITH walked AS MATERIALIZED (
    SELECT id, status, published_at
    FROM {schema}.event_outbox
    WHERE id > %(after)s::bigint
    ORDER BY id
    LIMIT %(rows)s::bigint
),
pruned AS (
    DELETE FROM {schema}.event_outbox
    WHERE id = ANY(ARRAY(
            SELECT id FROM walked
            WHERE status = 'published' AND published_at < now() - %(retention)s::float8 * interval '1 second'))
        AND status = 'published'
    RETURNING id
)
SELECT
    (SELECT count(*) FROM pruned) AS pruned,
    (SELECT max(id) FROM walked HAVING count(*) = %(rows)s::bigint) AS go_on_after,
    -- Where all that is published is too young to go, what follows is too. A few may be young among old ones: events
    -- that were scheduled, or published after a long time of failing.
    NOT EXISTS (SELECT FROM pruned) AND EXISTS (SELECT FROM walked WHERE status = 'published') AS met_young
