-- Settings of one look for metrics and readiness, local to its transaction, as in `status_begin.sql`; and what time it is
-- for the database, whose clock alone decides.
SELECT
    set_config('statement_timeout', %(timeout)s, true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    set_config('jit', 'off', true),
    extract(epoch FROM clock_timestamp())::float8 AS clock
