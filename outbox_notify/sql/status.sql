-- What few events or one tell of the backlog, for `status`; what may be many is counted in status_counted.sql.
-- Retries are sought among the 20,000 events that come due first: their delays are short, schedules may be long and many.
-- Age is counted from when an event could have gone first, which for a schedule is its time.
SELECT
    (SELECT count(*) FILTER (WHERE attempts > 0)
     FROM (
        SELECT attempts
        FROM {schema}.event_outbox
        WHERE status = 'pending' AND available_at > created_at AND available_at > now()
        ORDER BY available_at, id
        LIMIT 20000) AS soonest) AS retrying,
    (SELECT count(*) FROM {schema}.event_outbox WHERE status = 'in_progress') AS in_progress,
    extract(epoch FROM greatest(
        now() - (SELECT created_at FROM {schema}.event_outbox
                 WHERE status = 'pending' AND available_at <= created_at
                 ORDER BY id LIMIT 1),
        now() - (SELECT available_at FROM {schema}.event_outbox
                 WHERE status = 'pending' AND available_at > created_at AND available_at <= now()
                 ORDER BY available_at, id LIMIT 1),
        interval '0'))::float8 AS oldest_pending_age_seconds
