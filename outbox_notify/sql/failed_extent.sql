-- How many failed events a filter means, and up to which id: what was counted before a question is what is done after it.
SELECT count(*) AS events, coalesce(max(id), 0) AS last_id
FROM {schema}.event_outbox
WHERE status = 'failed'
    AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s::text)
    AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s::text)
    AND (%(older_than)s::float8 IS NULL OR created_at <= now() - %(older_than)s::float8 * interval '1 second')
    AND (%(newer_than)s::float8 IS NULL OR created_at > now() - %(newer_than)s::float8 * interval '1 second')
