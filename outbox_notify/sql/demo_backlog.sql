-- What the demo's live line shows: due and claimed events, the age of the oldest of them in seconds, and failed ones.
-- Served by the partial indexes; published rows are not read.
SELECT
    (SELECT count(*) FROM {schema}.event_outbox WHERE status = 'pending' AND available_at <= created_at)
    + (SELECT count(*) FROM {schema}.event_outbox WHERE status = 'in_progress') AS backlog,
    (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8
     FROM {schema}.event_outbox WHERE status = 'pending' AND available_at <= created_at) AS oldest,
    (SELECT count(*) FROM {schema}.event_outbox WHERE status = 'failed') AS failed
