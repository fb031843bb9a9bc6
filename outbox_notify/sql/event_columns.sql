-- What is read of an event to publish it, from event_outbox: in the order of ClaimedEvent's fields.
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
coalesce(payload_bytes, convert_to(payload::text, 'UTF8')) AS body
