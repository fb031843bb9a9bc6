-- The backlog, for metrics and readiness: read every few seconds by every relay, so each count stops at a limit. All
-- of it from the partial indexes of the states, in one snapshot; age as in `status.sql`.
SELECT
    (SELECT count(*) FROM (
        SELECT FROM {schema}.event_outbox
        WHERE status = 'pending' AND available_at <= created_at
        LIMIT %(most)s) AS due_from_birth)
        + (SELECT count(*) FROM (
            SELECT FROM {schema}.event_outbox
            WHERE status = 'pending' AND available_at > created_at AND available_at <= now()
            LIMIT %(most)s) AS come_due) AS pending,
    (SELECT count(*) FROM (
        SELECT FROM {schema}.event_outbox
        WHERE status = 'pending' AND available_at > created_at AND available_at > now()
        LIMIT %(most)s) AS waiting) AS scheduled,
    (SELECT count(*) FROM (
        SELECT FROM {schema}.event_outbox WHERE status = 'in_progress' LIMIT %(most)s) AS leased) AS in_progress,
    (SELECT count(*) FROM (
        SELECT FROM {schema}.event_outbox WHERE status = 'failed' LIMIT %(most)s) AS given_up) AS failed,
    extract(epoch FROM oldest.since)::float8 AS oldest_pending,
    greatest(0, extract(epoch FROM now() - oldest.since))::float8 AS oldest_pending_age,
    (SELECT count(*) FROM {schema}.event_outbox_pause WHERE until IS NULL OR until > now()) AS paused,
    pg_total_relation_size('{schema}.event_outbox'::regclass) AS table_bytes
FROM (
    SELECT least(
        (SELECT created_at FROM {schema}.event_outbox
         WHERE status = 'pending' AND available_at <= created_at
         ORDER BY id LIMIT 1),
        (SELECT available_at FROM {schema}.event_outbox
         WHERE status = 'pending' AND available_at > created_at AND available_at <= now()
         ORDER BY available_at, id LIMIT 1)) AS since) AS oldest
