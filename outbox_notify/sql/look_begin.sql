-- Settings of one look for metrics and readiness, as for `status`; and what time it is for the database, whose clock
-- alone decides.
{status_begin},
    extract(epoch FROM clock_timestamp())::float8 AS clock
