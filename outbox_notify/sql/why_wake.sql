-- Whether writers wake relays at all: a trigger that is disabled notifies nobody. Null where there is none.
SELECT (
    SELECT tgenabled IN ('O', 'A')
    FROM pg_catalog.pg_trigger
    WHERE tgrelid = '{schema}.event_outbox'::regclass AND tgname = 'event_outbox_wake_relay') AS wakes
