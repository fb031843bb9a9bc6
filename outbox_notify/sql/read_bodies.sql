-- Read the events of one lease, in write order, or only one of them; without a token, those of a light claim before it.
-- Apart from the claim, whose turn must not last until a slow relay has taken ten megabytes off the wire. The columns
-- stand in the order of ClaimedEvent's fields.
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
        id,
        event_id::text AS event_id,
        tenant_id::text AS tenant_id,
        event_type::text AS event_type,
        aggregate_type::text AS aggregate_type,
        aggregate_id::text AS aggregate_id,
        content_type::text AS content_type,
        nullif(headers, '{{}}')::text AS headers,
        to_char(
            -- RFC 3339 knows neither infinity nor the years before 1 and after 9999.
            least(greatest(created_at, timestamptz '0001-01-01 00:00Z'), timestamptz '9999-12-31 23:59Z') AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
        ordering_key,
        attempts,
        coalesce(payload_bytes, convert_to(payload::text, 'UTF8')) AS body,
        claims > 1 OR attempts > 0 OR last_error IS NOT NULL AS tried
    FROM {schema}.event_outbox
    WHERE status = 'in_progress'
        AND lease_token = coalesce(%(token)s::uuid, nullif(current_setting('outbox_notify.light', true), '')::uuid)
        AND (%(only)s::bigint IS NULL OR id = %(only)s::bigint)
    ORDER BY lease_token, id
    OFFSET 0
) AS event
