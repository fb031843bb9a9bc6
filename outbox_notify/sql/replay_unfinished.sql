-- Replays that somebody could go on with, the newest first.
SELECT id FROM {schema}.event_outbox_replay WHERE finished_at IS NULL ORDER BY started_at DESC LIMIT 5
