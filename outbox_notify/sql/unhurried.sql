-- Among the settings of a transaction: a timeout that the role has for other work would end the connection in the
-- middle, in the same place each time. Unknown before PostgreSQL 17.
    CASE
        WHEN current_setting('server_version_num')::int >= 170000 THEN set_config('transaction_timeout', '0', true)
    END AS transaction_timeout
