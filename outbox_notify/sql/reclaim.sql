-- Take over expired leases. An event that was claimed more often than max_claims, the last time alone, and never
-- got an outcome crashes relays: it fails. Oldest lease first, in batches, so that no statement runs long.
WITH expired AS MATERIALIZED (
    SELECT id, claims > %(max_claims)s::int AS crashes, claimed_by
    FROM {schema}.event_outbox
    WHERE status = 'in_progress' AND lease_until < clock_timestamp()
    ORDER BY lease_token, id
    LIMIT %(rows)s::bigint
    FOR UPDATE SKIP LOCKED
),
reclaimed AS (
    UPDATE {schema}.event_outbox AS event
    SET status = CASE WHEN expired.crashes THEN 'failed' ELSE 'pending' END,
        last_error = CASE
            WHEN expired.crashes THEN 'claimed ' || claims || ' times and never settled: it may crash relays'
            ELSE 'the lease of ' || expired.claimed_by || ' expired'
        END,
        lease_token = NULL, lease_until = NULL, claimed_by = NULL
    FROM expired
    WHERE event.id = expired.id
    RETURNING event.id, expired.crashes
)
SELECT
    count(*) FILTER (WHERE NOT crashes) AS reclaimed,
    count(*) FILTER (WHERE crashes) AS failed,
    coalesce(min(id), 0) AS lowest
FROM reclaimed
