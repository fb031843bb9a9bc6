-- The history of applied files, for `migrate`. IF NOT EXISTS because it is older than every migration.
CREATE TABLE IF NOT EXISTS {schema}.event_outbox_migration (
    version     int NOT NULL,
    name        text NOT NULL,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    applied_by  text NOT NULL DEFAULT current_user,
    duration    interval,
    CONSTRAINT event_outbox_migration_pkey PRIMARY KEY (version)
)
