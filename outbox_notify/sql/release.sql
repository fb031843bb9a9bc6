-- Give back whatever is still under a lease: events that were claimed and never read.
WITH released AS (
    UPDATE {schema}.event_outbox
    SET status = 'pending', claims = 0, last_error = %(reason)s::text,
        lease_token = NULL, lease_until = NULL, claimed_by = NULL
    WHERE status = 'in_progress' AND lease_token = %(token)s::uuid
    RETURNING id
)
SELECT count(*) FROM released
