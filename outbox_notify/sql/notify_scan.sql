-- Ask sleeping relays to look at the whole table: something came back to a place that they have passed.
SELECT pg_notify(wake.channel, 'scan') FROM {schema}.event_outbox_wake() AS wake
