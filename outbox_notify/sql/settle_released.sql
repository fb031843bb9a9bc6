-- Give back events without counting an attempt. The reason stays in last_error: it also marks the event as
-- returned, so that later ones of its aggregate wait for it whichever relay claims them.
WITH outcome AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::bigint[], %(reasons)s::text[]) AS outcome (id, reason)
),
settled AS (
    UPDATE {schema}.event_outbox AS event
    SET status = 'pending', claims = 0, last_error = outcome.reason,
        lease_token = NULL, lease_until = NULL, claimed_by = NULL
    FROM outcome
    WHERE event.id = outcome.id AND status = 'in_progress' AND lease_token = %(token)s::uuid
    RETURNING event.id
)
SELECT count(*) FROM settled
