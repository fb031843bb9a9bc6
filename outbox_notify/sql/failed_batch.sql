-- The next batch of ids that a filter means, oldest first: requeued in that order, aggregates keep theirs. An event
-- that fails again meanwhile lies behind `after` and is not met twice.
SELECT id
{failed_meant}
    AND id > %(after)s::bigint
    AND id <= %(last_id)s::bigint
ORDER BY id
LIMIT %(rows)s::bigint
