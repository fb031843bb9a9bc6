-- Open a claim: settings of this transaction only, then the turn. Own statement, so that the claim after it
-- sees everything that the turn before it has committed; with the lock inside the claim its snapshot would be older
-- than the lock, and two relays would hold one aggregate.
-- idle in transaction: all that the others ever wait for a relay that is frozen, or whose host is gone, in its turn.
-- commit local: the flush carries the writer's commit with it, so nothing is published that a crash could undo.
-- seqscan off: a plan cached while the table was empty must not outlive that; bitmaps would lose the order.
-- index scans on: with the others off there is nothing else left, whatever the role's defaults say.
SELECT
    set_config('synchronous_commit', 'local', true),
    set_config('lock_timeout', '5s', true),
    set_config('statement_timeout', '30s', true),
    set_config('idle_in_transaction_session_timeout', '1s', true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_indexscan', 'on', true),
    set_config('enable_indexonlyscan', 'on', true),
    set_config('jit', 'off', true),
    pg_advisory_xact_lock(wake.lock_k1 + 1, wake.lock_k2)
FROM {schema}.event_outbox_wake() AS wake
