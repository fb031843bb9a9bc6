-- Note that a consumer handles an event; inserts nothing when it has been noted before.
-- Parameters: consumer; event_id.
--
-- When another transaction has noted it and has not ended, this waits for its end: then it inserts if that one rolled
-- back. ON CONFLICT names no target and nothing is returned, because either would need SELECT.
INSERT INTO {schema}.event_inbox (consumer, event_id)
VALUES (%(consumer)s, %(event_id)s)
ON CONFLICT DO NOTHING
