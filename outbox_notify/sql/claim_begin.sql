-- Open a claim: settings of this transaction only, then the turn. Own statement, so that the claim after it
-- sees everything that the turn before it has committed; with the lock inside the claim its snapshot would be older
-- than the lock, and two relays would hold one aggregate.
-- seqscan off: a plan cached while the table was empty must not outlive that; bitmaps would lose the order.
-- index scans on: with the others off there is nothing else left, whatever the role's defaults say.
-- server: tells servers, and starts of one, apart: after a failover or a crash, ids may have gone back. When one of its
-- processes dies, the server recovers without a new start; but its statistics begin anew.
-- place: where the rows are kept. TRUNCATE begins a new one, and with RESTART IDENTITY ids do too; VACUUM FULL as well.
-- timeouts: together shorter than the silence after which a relay gives a connection up, as in settle_begin.sql.
SELECT
    to_char(
        greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time()) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS server,
    pg_relation_filenode('{schema}.event_outbox'::regclass)::bigint AS place,
    set_config('lock_timeout', '4s', true) AS lock_timeout,
    set_config('statement_timeout', '9s', true) AS statement_timeout,
{unhurried},
    set_config('enable_seqscan', 'off', true) AS enable_seqscan,
    set_config('enable_bitmapscan', 'off', true) AS enable_bitmapscan,
    set_config('enable_indexscan', 'on', true) AS enable_indexscan,
    set_config('enable_indexonlyscan', 'on', true) AS enable_indexonlyscan,
    set_config('jit', 'off', true) AS jit,
    pg_advisory_xact_lock(wake.lock_k1 + 1, wake.lock_k2) AS turn
FROM {schema}.event_outbox_wake() AS wake
