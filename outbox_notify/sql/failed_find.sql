-- Where the events that an operator named are: by row id or by event id, whatever their status.
SELECT id, event_id, status::text AS status
FROM {schema}.event_outbox
WHERE id = ANY(%(ids)s::bigint[]) OR event_id = ANY(%(event_ids)s::uuid[])
ORDER BY id
