-- Give failed events back to the relay. event_ids: new ones at the same places, or null to keep what they have.
--
-- The id is kept on purpose: an attempt that timed out may be stored, and only under the same message id does
-- JetStream take the next one for a duplicate.
-- available_at goes back to created_at: the event was due from birth, and takes its old place in the order.
-- last_error stays until the event is published: it marks it as returned, so that later events of its aggregate wait.
UPDATE {schema}.event_outbox AS event
SET status = 'pending', attempts = 0, claims = 0, available_at = created_at,
    event_id = coalesce(wanted.event_id, event.event_id),
    last_error = coalesce(last_error, 'requeued')
FROM unnest(%(ids)s::bigint[], %(event_ids)s::uuid[]) AS wanted (id, event_id)
WHERE event.id = wanted.id AND event.status = 'failed'
