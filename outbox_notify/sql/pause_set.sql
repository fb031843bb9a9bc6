-- Pause a tenant, a type, or a type of a tenant: until a time, or for so many seconds from now, or until somebody resumes.
INSERT INTO {schema}.event_outbox_pause (tenant_id, event_type, until, reason)
VALUES (
    %(tenant_id)s,
    %(event_type)s,
    coalesce(%(until)s::timestamptz, now() + %(lasting)s::float8 * interval '1 second'),
    %(reason)s
)
RETURNING tenant_id::text, event_type::text, until, since, by, reason, until <= now() AS over
