-- Note one applied file, in the transaction that applied it. A duration of null means: applied by another tool.
INSERT INTO {schema}.event_outbox_migration (version, name, checksum, duration)
VALUES (%(version)s, %(name)s, %(checksum)s, make_interval(secs => %(duration)s))
