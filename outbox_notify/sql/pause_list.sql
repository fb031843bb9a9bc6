-- What is paused now, the oldest pause first.
SELECT tenant_id::text, event_type::text, until, since, by, reason
FROM {schema}.event_outbox_pause
WHERE until IS NULL OR until > now()
ORDER BY since, id
