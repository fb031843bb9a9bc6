-- Let those that create the table at the same time do so one after the other: CREATE TABLE IF NOT EXISTS alone lets
-- the second fail. Ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('outbox-notify event_inbox', 0))
