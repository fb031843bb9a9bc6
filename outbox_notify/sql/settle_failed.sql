-- Give up on events; they stay until an operator requeues or discards them.
WITH outcome AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::bigint[], %(reasons)s::text[], %(counted)s::int[]) AS outcome (id, reason, counted)
),
settled AS (
    UPDATE {schema}.event_outbox AS event
    SET status = 'failed', attempts = attempts + outcome.counted, claims = 0, last_error = outcome.reason,
        lease_token = NULL, lease_until = NULL, claimed_by = NULL
    FROM outcome
    WHERE event.id = outcome.id AND status = 'in_progress' AND lease_token = %(token)s::uuid
    RETURNING event.id
)
SELECT count(*) FROM settled
