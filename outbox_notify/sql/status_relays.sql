-- Which relays hold events, and for how much longer at least; below zero: the lease has expired, nobody took over yet.
SELECT
    claimed_by AS relay,
    count(*) AS in_progress,
    extract(epoch FROM min(lease_until) - now())::float8 AS lease_left_seconds
FROM {schema}.event_outbox
WHERE status = 'in_progress'
GROUP BY claimed_by
ORDER BY claimed_by
