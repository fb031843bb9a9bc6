-- Note how far a replay has come; unless somebody else goes on with it meanwhile.
UPDATE {schema}.event_outbox_replay
SET position = %(to)s::bigint,
    replayed = replayed + %(replayed)s::bigint,
    duplicates = duplicates + %(duplicates)s::bigint,
    refused = refused + %(refused)s::bigint,
    finished_at = CASE WHEN %(finished)s::boolean THEN clock_timestamp() END
WHERE id = %(id)s::text AND position = %(position)s::bigint AND finished_at IS NULL
