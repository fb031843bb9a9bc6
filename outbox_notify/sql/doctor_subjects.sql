-- Subjects of the outbox, without their prefix, for `doctor`: among the newest 5,000 rows and, of each state that waits, the
-- 5,000 that come next. All of them would mean to read the table.
SELECT tenant_id::text AS tenant_id, event_type::text AS event_type
FROM (
    (SELECT tenant_id, event_type FROM {schema}.event_outbox ORDER BY id DESC LIMIT 5000)
    UNION ALL
    (SELECT tenant_id, event_type FROM {schema}.event_outbox
     WHERE status = 'pending' AND available_at <= created_at ORDER BY id LIMIT 5000)
    UNION ALL
    (SELECT tenant_id, event_type FROM {schema}.event_outbox
     WHERE status = 'pending' AND available_at > created_at ORDER BY available_at, id LIMIT 5000)
    UNION ALL
    (SELECT tenant_id, event_type FROM {schema}.event_outbox
     WHERE status = 'failed' ORDER BY id LIMIT 5000)
) AS seen
GROUP BY 1, 2
ORDER BY 1, 2
