-- Mark published what JetStream has acknowledged. The lease token fences a relay that was overtaken.
WITH settled AS (
    UPDATE {schema}.event_outbox
    SET status = 'published', published_at = clock_timestamp(), claims = 0, last_error = NULL,
        lease_token = NULL, lease_until = NULL, claimed_by = NULL
    WHERE id = ANY(%(ids)s::bigint[]) AND status = 'in_progress' AND lease_token = %(token)s::uuid
    RETURNING id
)
SELECT count(*) FROM settled
