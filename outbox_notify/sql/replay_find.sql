-- One replay by its id.
SELECT id, audit_id, prefix, which, last_id, events, started_at, finished_at, position, sent_to, replayed, duplicates, refused
FROM {schema}.event_outbox_replay
WHERE id = %(id)s::text
