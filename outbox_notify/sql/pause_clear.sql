-- Take away the pause of exactly this, or all of them, and those that are over whatever they were of. Returns those that
-- still held.
WITH gone AS (
    DELETE FROM {schema}.event_outbox_pause
    WHERE until <= now()
        OR %(everything)s::boolean
        OR (tenant_id IS NOT DISTINCT FROM %(tenant_id)s::text AND event_type IS NOT DISTINCT FROM %(event_type)s::text)
    RETURNING id, tenant_id::text, event_type::text, until, since, by, reason
)
SELECT tenant_id, event_type, until, since, by, reason
FROM gone
WHERE until IS NULL OR until > now()
ORDER BY since, id
