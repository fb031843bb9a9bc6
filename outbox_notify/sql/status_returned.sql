-- What came back, by route and reason, for `status`: events that were tried and refused, or given back since their
-- route rests or a server was away. Sought among those that come next, 5,000 of each index: what came back is older
-- than what follows it, and no look may become a burden. Those that only wait behind such an event are not named.
SELECT
    tenant_id || '.' || event_type AS route,
    last_error AS reason,
    count(*) AS events,
    extract(epoch FROM greatest(now() - min(created_at), interval '0'))::float8 AS oldest_age_seconds
FROM (
    (SELECT id, tenant_id, event_type, last_error, created_at
     FROM {schema}.event_outbox
     WHERE status = 'pending' AND available_at <= created_at
     ORDER BY id
     LIMIT 5000)
    UNION
    (SELECT id, tenant_id, event_type, last_error, created_at
     FROM {schema}.event_outbox
     WHERE status = 'pending' AND available_at > created_at
     ORDER BY available_at, id
     LIMIT 5000)
    UNION
    (SELECT id, tenant_id, event_type, last_error, created_at
     FROM {schema}.event_outbox
     WHERE status = 'pending' AND ordering_key IS NOT NULL AND (attempts > 0 OR last_error IS NOT NULL)
     ORDER BY ordering_key, id
     LIMIT 5000)
) AS next
WHERE last_error IS NOT NULL AND NOT starts_with(last_error, 'waits for event ')
GROUP BY route, reason
ORDER BY events DESC, route, reason
LIMIT 20
