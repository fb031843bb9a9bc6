-- Pages that exist already are left as they are.
ALTER TABLE event_outbox RESET (fillfactor);
