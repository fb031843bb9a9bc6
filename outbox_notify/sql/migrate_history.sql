-- What has been applied, oldest first, for `migrate`. Run only once migrate_place says that the table is there.
SELECT version, name, checksum, applied_at, applied_by, extract(epoch FROM duration)::float8 AS duration
FROM {schema}.event_outbox_migration
ORDER BY version
