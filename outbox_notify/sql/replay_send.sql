-- Note how far a replay will have sent, before it sends; unless somebody else goes on with it meanwhile.
UPDATE {schema}.event_outbox_replay
SET sent_to = greatest(sent_to, %(to)s::bigint)
WHERE id = %(id)s::text AND position = %(position)s::bigint AND sent_to = %(sent_to)s::bigint AND finished_at IS NULL
