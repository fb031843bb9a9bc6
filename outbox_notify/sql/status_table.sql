-- The table with its indexes. Its number of rows is the planner's estimate, null before the first VACUUM or ANALYZE:
-- published rows have no index to count them by.
SELECT
    pg_total_relation_size(oid) AS bytes,
    CASE WHEN reltuples >= 0 THEN reltuples::bigint END AS rows_estimate,
    pg_stat_get_dead_tuples(oid) AS dead_rows,
    extract(epoch FROM now()
        - greatest(pg_stat_get_last_vacuum_time(oid), pg_stat_get_last_autovacuum_time(oid)))::float8
        AS vacuumed_seconds_ago
FROM pg_catalog.pg_class
WHERE oid = '{schema}.event_outbox'::regclass
