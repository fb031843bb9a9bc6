-- How many events are due from birth, for `status`.
WITH RECURSIVE meant AS NOT MATERIALIZED (
    SELECT id FROM {schema}.event_outbox WHERE status = 'pending' AND available_at <= created_at
),
{status_counted}
