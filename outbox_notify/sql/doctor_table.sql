-- How autovacuum serves the table, for `doctor`: whether it may, what is dead, and from how many dead rows on it starts.
SELECT
    current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean AS autovacuum,
    coalesce(options.enabled, true) AS enabled,
    coalesce(n_live_tup, 0) AS live,
    coalesce(n_dead_tup, 0) AS dead,
    (coalesce(options.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
        + coalesce(options.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * coalesce(n_live_tup, 0))::float8
        AS starts_at,
    extract(epoch FROM now() - greatest(last_vacuum, last_autovacuum))::float8 AS vacuumed_ago
FROM pg_catalog.pg_class AS class
LEFT JOIN pg_catalog.pg_stat_all_tables ON relid = class.oid
CROSS JOIN LATERAL (
    SELECT
        bool_and(option_value::boolean) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
        max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS threshold,
        max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale
    FROM pg_options_to_table(reloptions)
    WHERE option_name IN ('autovacuum_enabled', 'autovacuum_vacuum_threshold', 'autovacuum_vacuum_scale_factor')
) AS options
WHERE class.oid = '{schema}.event_outbox'::regclass
