-- Channel and lock keys of this outbox: one function of the schema owns them, for the trigger and for the relay.
SELECT channel, lock_k1, lock_k2 FROM {schema}.event_outbox_wake()
