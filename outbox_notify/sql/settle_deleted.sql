-- Delete what JetStream has acknowledged, for OUTBOX_RETENTION=0: writes least.
WITH settled AS (
    DELETE FROM {schema}.event_outbox
    WHERE id = ANY(%(ids)s::bigint[]) AND status = 'in_progress' AND lease_token = %(token)s::uuid
    RETURNING id
)
SELECT count(*) FROM settled
