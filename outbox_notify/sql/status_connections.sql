-- The connections of relays in this database, by their names (relay_names.py), and who of them holds the wake lock of this
-- outbox, or asks for it. Everybody may read all of it: names and locks are no secret of their users.
SELECT
    activity.application_name AS name,
    coalesce(bool_or(wake.granted), false) AS holds,
    coalesce(bool_or(NOT wake.granted), false) AS asks
FROM pg_catalog.pg_stat_activity AS activity
LEFT JOIN (
    SELECT lock.pid, lock.granted
    FROM pg_catalog.pg_locks AS lock
    CROSS JOIN {schema}.event_outbox_wake() AS keys
    WHERE lock.locktype = 'advisory'
        AND lock.mode = 'ExclusiveLock'
        AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND lock.classid::bigint = (keys.lock_k1::bigint & 4294967295)
        AND lock.objid::bigint = (keys.lock_k2::bigint & 4294967295)
        AND lock.objsubid = 2
) AS wake USING (pid)
WHERE activity.datname = current_database() AND starts_with(activity.application_name, 'outbox-notify relay ')
GROUP BY activity.pid, activity.application_name
ORDER BY activity.application_name
