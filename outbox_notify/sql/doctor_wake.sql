-- What the wake needs of the database, for `doctor`: its trigger, and room in the queue of notifications.
SELECT
    (SELECT tgenabled IN ('O', 'A') FROM pg_catalog.pg_trigger
     WHERE tgrelid = '{schema}.event_outbox'::regclass AND tgname = 'event_outbox_wake_relay') AS trigger_enabled,
    pg_notification_queue_usage() AS queue_usage
