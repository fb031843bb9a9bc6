-- Settings of a transaction that reads the next events of a replay: along the primary key, whatever the statistics say,
-- or each batch would sort the whole table.
SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true)
