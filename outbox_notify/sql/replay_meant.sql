-- The published events that a replay means, for statements that begin with what is wanted of them.
FROM {schema}.event_outbox
WHERE status = 'published'
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[]))
    AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s::text)
    AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s::text)
    AND (%(since)s::timestamptz IS NULL OR published_at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR published_at < %(until)s::timestamptz)
