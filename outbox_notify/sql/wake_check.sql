-- What a listening connection is asked at each heartbeat: what it listens to, whether anybody can write here, and
-- which server this is (as in claim_begin.sql).
SELECT
    ARRAY(SELECT pg_listening_channels()) AS channels,
    current_setting('transaction_read_only')::boolean AS read_only,
    to_char(
        greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time()) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS server
