-- What a migration may count on, whatever the role's defaults say. Local to the transaction, so that nothing leaks
-- through a pooler, except for a file that has none: migrate_reset cleans up behind it.
SELECT
    set_config('search_path', quote_ident(%(schema)s), %(local)s),
    set_config('lock_timeout', %(lock_timeout)s, %(local)s),
    set_config('statement_timeout', '0', %(local)s)
