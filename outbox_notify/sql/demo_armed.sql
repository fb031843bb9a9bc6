-- Whether a relay sleeps with the wake lock in its hand: from then on, a commit wakes it at once.
SELECT EXISTS (
    SELECT
    FROM pg_locks AS held, {schema}.event_outbox_wake() AS wake
    WHERE held.locktype = 'advisory'
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND held.classid = wake.lock_k1::oid
      -- Lock keys are shown as unsigned.
      AND held.objid::bigint = wake.lock_k2::bigint & 4294967295
      AND held.mode = 'ExclusiveLock'
      AND held.granted
)
