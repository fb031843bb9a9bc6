-- Delete the oldest notes of the inbox, so many at most.
-- Parameters: older_than, an interval; rows.
--
-- SKIP LOCKED: two that prune at once take different rows. Rows are never updated, so their ctid holds.
DELETE FROM {schema}.event_inbox
WHERE ctid = ANY(ARRAY(
    SELECT ctid
    FROM {schema}.event_inbox
    WHERE received_at < now() - %(older_than)s::interval
    ORDER BY received_at
    LIMIT %(rows)s::bigint
    FOR UPDATE SKIP LOCKED
))
