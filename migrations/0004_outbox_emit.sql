-- Writing an event with a function call, for every language that has no library of ours, and for triggers. It can do
-- what an INSERT can, and needs the same rights. Locks nothing, so it waits for nobody.

-- plpgsql, because it plans its INSERT once a session; a function in SQL planned it at every call before PostgreSQL 18.
-- Every name in the body has its schema, so it does the same under any search_path, without the price of setting one.
-- Without RETURNING, and without a target of the conflict: either would need SELECT, and a writer has INSERT only.
DO $do$
DECLARE
    new_id constant text := CASE
        WHEN current_setting('server_version_num')::int >= 180000 THEN 'pg_catalog.uuidv7()'
        ELSE format('%I.event_outbox_uuidv7()', current_schema())
    END;
BEGIN
    EXECUTE format($sql$
        CREATE FUNCTION outbox_emit(
            tenant_id       text,
            event_type      text,
            payload         jsonb DEFAULT NULL,
            aggregate_type  text DEFAULT NULL,
            aggregate_id    text DEFAULT NULL,
            headers         jsonb DEFAULT NULL,
            available_at    timestamptz DEFAULT NULL,
            event_id        uuid DEFAULT NULL,
            content_type    text DEFAULT NULL,
            payload_bytes   bytea DEFAULT NULL,
            serialize       boolean DEFAULT false
        ) RETURNS uuid
            LANGUAGE plpgsql
        AS $body$
        DECLARE
            its_id constant pg_catalog.uuid := coalesce(event_id, %2$s);
        BEGIN
            -- A statement of its own, before the INSERT: an id drawn before the wait would not be in commit order.
            IF serialize THEN
                PERFORM pg_catalog.pg_advisory_xact_lock(1869968491, (
                    %1$I.event_outbox_ordering_key(tenant_id, aggregate_type, aggregate_id)
                    OPERATOR(pg_catalog.>>) 32)::pg_catalog.int4);
            END IF;
            INSERT INTO %1$I.event_outbox (
                event_id, tenant_id, event_type, aggregate_type, aggregate_id,
                content_type, headers, available_at, payload, payload_bytes
            ) VALUES (
                its_id, tenant_id, event_type, aggregate_type, aggregate_id,
                coalesce(content_type, 'application/json'), coalesce(headers, '{}'),
                coalesce(available_at, pg_catalog.now()), payload, payload_bytes
            )
            ON CONFLICT DO NOTHING;
            -- Only an id that was given may be there already. A row id that is taken, since its sequence has gone back
            -- after a restore, must not make an event vanish.
            IF NOT FOUND AND event_id IS NULL THEN
                RAISE unique_violation USING MESSAGE = 'the event was not written: the id of its row is taken';
            END IF;
            RETURN its_id;
        END
        $body$
    $sql$, current_schema(), new_id);
END
$do$;

COMMENT ON FUNCTION outbox_emit IS
    'Write an event in this transaction and return its id; null means not given, and an event_id that is there already does nothing';
