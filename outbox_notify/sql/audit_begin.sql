-- Note an act of an operator. Who logged in and when is filled in by the table, so that nobody can say otherwise.
INSERT INTO {schema}.event_outbox_audit (client, act, arguments, events)
VALUES (%(client)s, %(act)s, %(arguments)s, %(events)s)
RETURNING id
