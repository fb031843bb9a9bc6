-- Delete failed events for good.
DELETE FROM {schema}.event_outbox
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'failed'
