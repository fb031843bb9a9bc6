-- One page of failed events, newest first, for the operator's list. Pages are cut by id, not by OFFSET: with millions
-- of failed events the last page costs what the first does. Bodies stay where they are. Ages count from the writing.
SELECT
    id, event_id, tenant_id::text, event_type::text, aggregate_type::text, aggregate_id::text,
    content_type::text, headers, created_at, available_at, attempts, claims, last_error
{failed_meant}
    AND id < %(before)s::bigint
ORDER BY id DESC
LIMIT %(rows)s::bigint
