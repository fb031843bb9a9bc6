-- The failed events that an operator's filter means, for statements that begin with what is wanted of them.
FROM {schema}.event_outbox
WHERE status = 'failed'
    AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s::text)
    AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s::text)
    AND (%(older_than)s::float8 IS NULL OR created_at <= now() - %(older_than)s::float8 * interval '1 second')
    AND (%(newer_than)s::float8 IS NULL OR created_at > now() - %(newer_than)s::float8 * interval '1 second')
