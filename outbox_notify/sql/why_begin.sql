-- Settings of one question about an event, local to its transaction: as for a look (status_begin.sql), and never waiting
-- long for who has locked the table.
SELECT
    set_config('statement_timeout', '10s', true),
    set_config('lock_timeout', '1s', true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    set_config('jit', 'off', true)
