-- Why other events of a route came back, and which: sought as in status_returned.sql. An event whose route rests is not
-- tried, so it does not tell itself.
SELECT id, last_error AS reason
FROM (
    (SELECT id, tenant_id, event_type, last_error
     FROM {schema}.event_outbox
     WHERE status = 'pending' AND available_at <= created_at
     ORDER BY id
     LIMIT 5000)
    UNION
    (SELECT id, tenant_id, event_type, last_error
     FROM {schema}.event_outbox
     WHERE status = 'pending' AND ordering_key IS NOT NULL AND (attempts > 0 OR last_error IS NOT NULL)
     ORDER BY ordering_key, id
     LIMIT 5000)
) AS next
WHERE last_error IS NOT NULL
    AND tenant_id = %(tenant)s::text
    AND event_type = %(event_type)s::text
    AND NOT starts_with(last_error, 'waits for event ')
ORDER BY id
LIMIT 20
