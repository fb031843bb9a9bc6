-- What operators did and wanted is gone with it.
DROP TABLE event_outbox_replay, event_outbox_pause, event_outbox_audit;
