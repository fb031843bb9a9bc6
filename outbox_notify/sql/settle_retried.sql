-- Put off events whose publish failed because of them: one more attempt counted, due again after their delay.
WITH outcome AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::bigint[], %(delays)s::float8[], %(reasons)s::text[]) AS outcome (id, delay, reason)
),
settled AS (
    UPDATE {schema}.event_outbox AS event
    SET status = 'pending', attempts = attempts + 1, claims = 0, last_error = outcome.reason,
        -- Later than created_at in any case: that is what sets a waiting event apart from a due one.
        available_at = greatest(clock_timestamp(), created_at) + outcome.delay * interval '1 second',
        lease_token = NULL, lease_until = NULL, claimed_by = NULL
    FROM outcome
    WHERE event.id = outcome.id AND status = 'in_progress' AND lease_token = %(token)s::uuid
    RETURNING event.id
)
SELECT count(*) FROM settled
