-- Who the role is to the outbox, and which of its rows row-level security shows it, for `doctor`.
SELECT
    current_user::text AS role,
    rolsuper OR rolbypassrls AS above_all,
    pg_has_role(relowner, 'MEMBER') AND NOT rolsuper AS owner,
    row_security_active(class.oid) AS row_security,
    coalesce(seen.policies, 0) AS policies,
    coalesce(seen.all_rows, false) AS all_rows
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_roles ON rolname = current_user
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE polpermissive) AS policies,
        bool_or(polpermissive AND polcmd = '*' AND pg_get_expr(polqual, polrelid) = 'true') AND bool_and(polpermissive)
            AS all_rows
    FROM pg_catalog.pg_policy
    WHERE polrelid = class.oid
        AND EXISTS (SELECT FROM unnest(polroles) AS named WHERE named = 0 OR pg_has_role(named, 'MEMBER'))
) AS seen
WHERE class.oid = '{schema}.event_outbox'::regclass
