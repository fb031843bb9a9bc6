-- One page of failed events, newest first, for the operator's list. Pages are cut by id, not by OFFSET: with millions
-- of failed events the last page costs what the first does. Bodies stay where they are. Ages count from the writing.
SELECT
    id, event_id, tenant_id::text, event_type::text, aggregate_type::text, aggregate_id::text,
    content_type::text, headers, created_at, available_at, attempts, claims, last_error
FROM {schema}.event_outbox
WHERE status = 'failed'
    AND id < %(before)s::bigint
    AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s::text)
    AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s::text)
    AND (%(older_than)s::float8 IS NULL OR created_at <= now() - %(older_than)s::float8 * interval '1 second')
    AND (%(newer_than)s::float8 IS NULL OR created_at > now() - %(newer_than)s::float8 * interval '1 second')
ORDER BY id DESC
LIMIT %(rows)s::bigint
