-- Count the notes of the inbox that pruning would delete. Parameter: older_than, an interval.
SELECT count(*) FROM {schema}.event_inbox WHERE received_at < now() - %(older_than)s::interval
