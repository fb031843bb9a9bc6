-- How many events have failed, for `status`.
WITH RECURSIVE meant AS NOT MATERIALIZED (
    SELECT id FROM {schema}.event_outbox WHERE status = 'failed'
),
{status_counted}
