-- Settings of one look at the backlog, local to its transaction: only index-only scans are quick enough to count
-- millions, and no look may become a burden, nor take a second processor from the relay.
SELECT
    set_config('statement_timeout', %(timeout)s, true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    set_config('jit', 'off', true)
