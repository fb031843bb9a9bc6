-- Settings of a connection that waits: nothing of the role's defaults may end the wait or make it hold a snapshot,
-- and a host that vanishes must free the lock in seconds, not hours. A direct connection, so a session's SET is safe.
SELECT
    set_config('statement_timeout', '15s', false),
    set_config('lock_timeout', '5s', false),
    set_config('idle_session_timeout', '0', false),
    set_config('idle_in_transaction_session_timeout', '10s', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('tcp_keepalives_idle', '5', false),
    set_config('tcp_keepalives_interval', '3', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('tcp_user_timeout', '15000', false)
