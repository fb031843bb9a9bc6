-- Count up an act that goes on: in the transaction of its next step.
UPDATE {schema}.event_outbox_audit SET events = events + %(events)s::bigint WHERE id = %(id)s::bigint
