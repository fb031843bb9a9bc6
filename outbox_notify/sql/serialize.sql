-- Take the transaction locks of aggregates, for writers that do not lock what they change.
-- Parameters: aggregates, a JSON array of objects; lock_class, the first key of every such lock.
--
-- A statement of its own, before the INSERT: an id drawn before the wait would not be in commit order.
-- Sorted, so that two writers with the same aggregates wait for each other instead of deadlocking; MATERIALIZED keeps
-- the planner from moving the locks below the sort. Two int keys hold 32 bits of the ordering key: a collision costs
-- parallelism, never correctness, and a single bigint key could meet a lock of the application's own.
WITH keys AS MATERIALIZED (
    SELECT DISTINCT
        ({schema}.event_outbox_ordering_key(tenant_id, aggregate_type, aggregate_id) >> 32)::int AS key
    FROM json_to_recordset(%(aggregates)s::text::json) AS aggregate (
        tenant_id text, aggregate_type text, aggregate_id text
    )
    ORDER BY key
)
SELECT pg_advisory_xact_lock(%(lock_class)s::int, key) FROM keys
