-- Read the events of one lease, in write order, or only one of them; without a token, those of a light claim before it.
-- Apart from the claim, whose turn must not last until a slow relay has taken ten megabytes off the wire.
--
-- room            bytes of bodies; from where they go beyond it on, events come without them. A claim weighs what is
--                 stored, and that may become as much longer as it likes: 1e131071 takes ten bytes in a row
--
-- Without the OFFSET each body would be made twice, to be weighed and to be sent.
SELECT
    id, event_id, tenant_id, event_type, aggregate_type, aggregate_id, content_type, headers, created_at, ordering_key,
    attempts,
    CASE WHEN sum(octet_length(body)) OVER (ROWS UNBOUNDED PRECEDING) <= %(room)s::bigint THEN body END AS body,
    tried
FROM (
    SELECT
        {event_columns},
        claims > 1 OR attempts > 0 OR last_error IS NOT NULL AS tried
    FROM {schema}.event_outbox
    WHERE status = 'in_progress'
        AND lease_token = coalesce(%(token)s::uuid, nullif(current_setting('outbox_notify.light', true), '')::uuid)
        AND (%(only)s::bigint IS NULL OR id = %(only)s::bigint)
    ORDER BY lease_token, id
    OFFSET 0
) AS event
