-- Settings of a transaction that writes outcomes. A mark lost in a crash is a repeat, which the message id absorbs,
-- so it does not wait for the flush.
-- The timeouts together are shorter than the silence after which a relay gives a connection up (pool.py): the server
-- ends what runs too long before that, so the relay knows that nothing of it was done.
SELECT
    set_config('synchronous_commit', 'off', true) AS synchronous_commit,
    set_config('lock_timeout', '4s', true) AS lock_timeout,
    set_config('statement_timeout', '9s', true) AS statement_timeout,
{unhurried},
    set_config('enable_seqscan', 'off', true) AS enable_seqscan,
    set_config('jit', 'off', true) AS jit
