-- Settings of one look by `doctor`, local to its transaction: no look may become a burden, and events are to be sought
-- by their partial indexes, however the statistics stand.
SELECT
    set_config('statement_timeout', '10s', true),
    set_config('lock_timeout', '5s', true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_indexscan', 'on', true),
    set_config('enable_indexonlyscan', 'on', true),
    set_config('jit', 'off', true)
