-- What was emitted, in the order in which it was written, as the asking transaction sees it: for assertions in the
-- tests of those who write events. One JSON text a row and no parameters, so that every driver hands it over alike.
-- A time beyond the year 9999 is more than Python knows.
SELECT json_build_object(
    'event_id', event_id,
    'tenant_id', tenant_id,
    'event_type', event_type,
    'aggregate_type', aggregate_type,
    'aggregate_id', aggregate_id,
    'payload', payload,
    'payload_hex', encode(payload_bytes, 'hex'),
    'content_type', content_type,
    'headers', headers,
    'available_at', CASE
        WHEN available_at > created_at THEN least(available_at, timestamptz '9999-12-31 00:00:00+00')
    END
)::text
FROM {schema}.event_outbox
ORDER BY id;
