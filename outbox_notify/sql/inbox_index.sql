-- Let pruning find the oldest rows without reading all of them.
CREATE INDEX IF NOT EXISTS event_inbox_received_at ON {schema}.event_inbox (received_at)
