-- Wait for the wake lock: granted when every writer that skipped its NOTIFY has ended. Never longer than
-- lock_timeout, since a waiting statement holds a snapshot and stops VACUUM for the whole database.
-- The settings come first: what OFFSET 0 keeps apart is computed before what is made of it.
SELECT pg_advisory_lock(%(k1)s::int, %(k2)s::int)
FROM (
    SELECT
{unhurried}
    OFFSET 0
) AS settings
