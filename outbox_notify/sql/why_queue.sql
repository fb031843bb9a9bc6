-- How full the notification queue is, by its share: past half the trigger of the outbox leaves the wake to the sweep.
SELECT pg_notification_queue_usage() AS share
