-- Every event is updated twice. With half of each page left free a new version stays beside the old one: one page to
-- lock, to log and to write instead of two. Pages that exist already are left as they are.
ALTER TABLE event_outbox SET (fillfactor = 50);
