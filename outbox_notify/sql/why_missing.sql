-- The newest row id that is visible: what is said of an event that there is none of depends on whether it could be.
SELECT coalesce((SELECT id FROM {schema}.event_outbox ORDER BY id DESC LIMIT 1), 0) AS newest
