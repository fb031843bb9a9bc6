-- How many published events are old enough to be pruned.
SELECT count(*)
FROM {schema}.event_outbox
WHERE status = 'published' AND published_at < now() - %(older_than)s::float8 * interval '1 second'
