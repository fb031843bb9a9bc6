-- The outbox: one table, the rules that keep poison out of it, and the trigger that wakes a sleeping relay.
-- Runs with search_path set to the schema that holds the outbox; everything it creates lives there.

-- Rules for values are domains, not CHECKs: a CHECK runs again at every UPDATE, a domain only when its
-- column is written. Patterns use + and a length test: a bounded repetition costs a hundred times more.

CREATE DOMAIN event_outbox_token AS text
    CONSTRAINT event_outbox_token_rule CHECK (
        octet_length(VALUE) <= 64
        AND (VALUE COLLATE "C") ~ '^[A-Za-z0-9_-]+$'
    );
COMMENT ON DOMAIN event_outbox_token IS
    'One NATS subject token: 1 to 64 characters out of A-Z a-z 0-9 _ -';

CREATE DOMAIN event_outbox_type AS text
    CONSTRAINT event_outbox_type_rule CHECK (
        octet_length(VALUE) <= 255
        AND (VALUE COLLATE "C") ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$'
        AND split_part(VALUE, '.', 9) = ''
        AND (octet_length(VALUE) <= 64 OR (VALUE COLLATE "C") !~ '[^.]{65}')
    );
COMMENT ON DOMAIN event_outbox_type IS
    '1 to 8 tokens joined by dots, 255 characters at most, each token 64 at most';

CREATE DOMAIN event_outbox_aggregate_id AS text
    CONSTRAINT event_outbox_aggregate_id_rule CHECK (
        char_length(VALUE) BETWEEN 1 AND 255
        AND (VALUE COLLATE "C") !~ '[\u0001-\u001F\u007F-\u009F]'
    );
COMMENT ON DOMAIN event_outbox_aggregate_id IS
    '1 to 255 characters, none of them a control character';

CREATE DOMAIN event_outbox_content_type AS text
    CONSTRAINT event_outbox_content_type_rule CHECK (
        octet_length(VALUE) <= 255
        AND (VALUE COLLATE "C") ~ '^[ -~]+$'
    );
COMMENT ON DOMAIN event_outbox_content_type IS
    '1 to 255 printable ASCII characters';

CREATE DOMAIN event_outbox_status AS text
    CONSTRAINT event_outbox_status_rule CHECK (
        VALUE IN ('pending', 'in_progress', 'published', 'failed')
    );

-- Called only for headers that are not empty, so its price is paid only by those who use them.
CREATE FUNCTION event_outbox_headers_valid(headers jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog
AS $$
BEGIN
    RETURN jsonb_typeof(headers) = 'object'
        AND octet_length(headers::text) <= 32768
        AND NOT EXISTS (
            SELECT
            FROM jsonb_each(headers) AS header (name, value)
            WHERE jsonb_typeof(value) <> 'string'
               OR octet_length(name) > 64
               OR (name COLLATE "C") !~ '^[A-Za-z0-9-]+$'
               OR lower(name COLLATE "C") ~ '^(nats-|ce-|status$|description$|content-type$)'
               OR ((value #>> '{}') COLLATE "C") ~ '[\u0001-\u001F\u007F-\u009F]'
        );
END
$$;

CREATE DOMAIN event_outbox_headers AS jsonb
    CONSTRAINT event_outbox_headers_rule CHECK (
        VALUE = '{}'::jsonb OR event_outbox_headers_valid(VALUE)
    );
COMMENT ON DOMAIN event_outbox_headers IS
    'An object of strings, 32 KB at most; names [A-Za-z0-9-]{1,64}, not Nats-*, ce-*, Status, Description, Content-Type';

-- Time-ordered ids keep the unique index warm at its right edge. PostgreSQL 18 brings its own.
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 180000 THEN
        CREATE FUNCTION event_outbox_uuidv7() RETURNS uuid
            LANGUAGE sql VOLATILE PARALLEL SAFE
        RETURN encode(
            set_bit(set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
                52, 1), 53, 1),
            'hex')::uuid;
    END IF;
END
$$;

-- Events with the same key keep their order. Tenant and type have no dots, so the text is unambiguous;
-- a collision of the hash costs parallelism, never correctness.
CREATE FUNCTION event_outbox_ordering_key(tenant_id text, aggregate_type text, aggregate_id text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended((tenant_id || '.' || aggregate_type || '.' || aggregate_id) COLLATE "C", 0);

-- Fixed-width columns first: no alignment padding between them.
CREATE TABLE event_outbox (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    ordering_key    bigint GENERATED ALWAYS AS (
                        event_outbox_ordering_key(tenant_id, aggregate_type, aggregate_id)) STORED,
    available_at    timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    lease_until     timestamptz,
    published_at    timestamptz,
    attempts        int NOT NULL DEFAULT 0,
    claims          int NOT NULL DEFAULT 0,
    event_id        uuid NOT NULL,
    lease_token     uuid,
    tenant_id       event_outbox_token NOT NULL,
    event_type      event_outbox_type NOT NULL,
    aggregate_type  event_outbox_token,
    aggregate_id    event_outbox_aggregate_id,
    status          event_outbox_status NOT NULL DEFAULT 'pending',
    content_type    event_outbox_content_type NOT NULL DEFAULT 'application/json',
    headers         event_outbox_headers NOT NULL DEFAULT '{}',
    payload         jsonb,
    payload_bytes   bytea,
    claimed_by      text,
    last_error      text,
    CONSTRAINT event_outbox_pkey PRIMARY KEY (id),
    CONSTRAINT event_outbox_event_id_key UNIQUE (event_id),
    CONSTRAINT event_outbox_one_body CHECK ((payload IS NULL) <> (payload_bytes IS NULL)),
    CONSTRAINT event_outbox_whole_aggregate CHECK ((aggregate_type IS NULL) = (aggregate_id IS NULL)),
    CONSTRAINT event_outbox_lease CHECK (
        (status = 'in_progress') = (lease_token IS NOT NULL)
        AND (lease_token IS NULL) = (lease_until IS NULL)
        AND (lease_token IS NULL) = (claimed_by IS NULL)
    )
) WITH (
    -- Every event is updated twice; the dead versions are what autovacuum has to keep up with.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_vacuum_cost_delay = 1,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_analyze_threshold = 5000
);

DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        ALTER TABLE event_outbox ALTER COLUMN event_id SET DEFAULT uuidv7();
    ELSE
        ALTER TABLE event_outbox ALTER COLUMN event_id SET DEFAULT event_outbox_uuidv7();
    END IF;
END
$$;

COMMENT ON TABLE event_outbox IS
    'Transactional outbox: insert an event in the transaction that changes the data; the relay publishes it to NATS JetStream';
COMMENT ON COLUMN event_outbox.id IS 'Write order';
COMMENT ON COLUMN event_outbox.event_id IS 'CloudEvents id and Nats-Msg-Id; give your own to make emitting idempotent';
COMMENT ON COLUMN event_outbox.available_at IS 'Not before this time: a schedule of the writer, or the delay of a retry';
COMMENT ON COLUMN event_outbox.ordering_key IS 'Events with the same key keep their order; null without an aggregate';
COMMENT ON COLUMN event_outbox.attempts IS 'Publishes that failed because of this event';
COMMENT ON COLUMN event_outbox.claims IS 'Times claimed without an outcome; finds events that crash relays';

-- What is due from birth, oldest first. Rows that wait for a time are not in it, so they are never in the way.
CREATE INDEX event_outbox_due ON event_outbox (id)
    WHERE status = 'pending' AND available_at <= created_at;

-- What waits: schedules of writers and delays of retries, by the time it comes due.
CREATE INDEX event_outbox_waiting ON event_outbox (available_at, id)
    WHERE status = 'pending' AND available_at > created_at;

-- What was tried and came back, by key: a claim asks here whether an earlier event of the same aggregate still
-- waits for its turn. Events that were never tried are not in it, so it costs nothing until something fails.
CREATE INDEX event_outbox_returned ON event_outbox (ordering_key, id)
    WHERE status = 'pending' AND ordering_key IS NOT NULL AND (attempts > 0 OR last_error IS NOT NULL);

-- One lease covers one batch: bodies are read and outcomes are written by its token. Tokens begin with a
-- number that only grows, so a relay finds the leases that are new to it without looking at the old ones.
CREATE SEQUENCE event_outbox_lease_seq;

CREATE INDEX event_outbox_leased ON event_outbox (lease_token, id)
    WHERE status = 'in_progress';

-- Touched only when an event fails: for the operator's list, and for OUTBOX_ON_FAILED=block.
CREATE INDEX event_outbox_failed ON event_outbox (id)
    WHERE status = 'failed';
CREATE INDEX event_outbox_failed_order ON event_outbox (ordering_key, id)
    WHERE status = 'failed' AND ordering_key IS NOT NULL;

-- Channel and lock keys of this schema's outbox, and the trigger that uses them, written once as literals:
-- the WHEN clause must not pay for a function call, and both must agree even if the schema is renamed.
DO $do$
DECLARE
    channel  constant text := 'event_outbox_' || current_schema();
    lock_k1  constant int := 1869968482;
    lock_k2  constant int := hashtext(current_schema() || '.event_outbox');
BEGIN
    EXECUTE format($sql$
        CREATE FUNCTION event_outbox_wake(OUT channel text, OUT lock_k1 int, OUT lock_k2 int)
            LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN ROW(%L::text, %s::int, %s::int)
    $sql$, channel, lock_k1, lock_k2);

    -- A stranger's stuck listener can fill the notification queue, and a full queue fails every commit
    -- that notifies. Past half full the wake is left to the sweep: business commits come first.
    EXECUTE format($sql$
        CREATE FUNCTION event_outbox_notify() RETURNS trigger
            LANGUAGE plpgsql SET search_path = pg_catalog
        AS $body$
        BEGIN
            IF pg_notification_queue_usage() < 0.5 THEN
                PERFORM pg_notify(%L, '');
            END IF;
            RETURN NULL;
        END
        $body$
    $sql$, channel);

    -- NOTIFY takes a lock on the whole cluster at commit. So it is sent only while a relay sleeps, which it
    -- shows by holding, or waiting for, the exclusive lock that this try collides with.
    EXECUTE format($sql$
        CREATE TRIGGER event_outbox_wake_relay AFTER INSERT ON event_outbox
            FOR EACH STATEMENT
            WHEN (NOT pg_try_advisory_xact_lock_shared(%s, %s))
            EXECUTE FUNCTION event_outbox_notify()
    $sql$, lock_k1, lock_k2);
END
$do$;

-- A relay finds late commits by their transaction ids, so a writer needs its transaction id before it draws its first
-- row id: between the two may lie the time that all its values take to be computed and checked. The condition
-- does it, and is never true.
CREATE TRIGGER event_outbox_begin_writing BEFORE INSERT ON event_outbox
    FOR EACH STATEMENT
    WHEN (pg_current_xact_id() IS NULL)
    EXECUTE FUNCTION event_outbox_notify();
