-- Begin a replay. From here on everything that it needs is in the table, whoever goes on with it.
INSERT INTO {schema}.event_outbox_replay (id, audit_id, prefix, which, last_id, events)
VALUES (%(id)s, %(audit_id)s, %(prefix)s, %(which)s, %(last_id)s, %(events)s)
