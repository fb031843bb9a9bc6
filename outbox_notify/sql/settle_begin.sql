-- Settings of a transaction that writes outcomes. A mark lost in a crash is a repeat, which the message id absorbs,
-- so it does not wait for the flush.
SELECT
    set_config('synchronous_commit', 'off', true),
    set_config('lock_timeout', '5s', true),
    set_config('statement_timeout', '30s', true),
    set_config('idle_in_transaction_session_timeout', '5s', true),
    set_config('enable_seqscan', 'off', true),
    set_config('jit', 'off', true)
