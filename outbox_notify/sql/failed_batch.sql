-- The next batch of ids that a filter means, oldest first: requeued in that order, aggregates keep theirs. An event
-- that fails again meanwhile lies behind `after` and is not met twice.
SELECT id
FROM {schema}.event_outbox
WHERE status = 'failed'
    AND id > %(after)s::bigint
    AND id <= %(last_id)s::bigint
    AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s::text)
    AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s::text)
    AND (%(older_than)s::float8 IS NULL OR created_at <= now() - %(older_than)s::float8 * interval '1 second')
    AND (%(newer_than)s::float8 IS NULL OR created_at > now() - %(newer_than)s::float8 * interval '1 second')
ORDER BY id
LIMIT %(rows)s::bigint
