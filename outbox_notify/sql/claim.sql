-- Claim the oldest due events under a fresh lease, for the relay whose turn it is (see claim_begin.sql).
--
-- Step by step: who may not go (up to `held_key`), what is due (`scanned` to `candidate`), what of it stands behind an
-- event of its aggregate that may not go (`barrier`, `free`), how much of the rest is taken (`sized`, `chosen`); then
-- the lease, and what later claims have to know.
--
-- What is looked at, and how much of it is taken:
-- start           scan from here; nothing below is due but what `returned` or `waiting` finds, and late commits:
-- running         transactions that ran during the last claim; when one has ended, start at its
-- running_from    instead, the lowest id that it may have drawn
-- scan, rows      how many rows to look at, and how many of them to take at most
-- bytes           stop before bodies and headers pass this size; the first event is taken whatever its size
-- opening         whether bodies may be opened, to weigh or to read them: some cannot be, and who knows which
-- max_claims      an event claimed this often without an outcome is taken alone
--
-- What may not go:
-- ordered         whether aggregates keep their order
-- block           whether a failed event holds back its aggregate
-- own             leases of this relay
-- seen_to         the newest lease known: what is newer, and not own, belongs to another relay
-- foreign         older leases of other relays that were still held when last looked at
-- passed          keys passed over below the frontier, with the first id of each: its later events have to wait,
--                 but not an earlier one, whose retry comes due while they stand behind it
-- held            keys of events that are on their way back to the table
-- resting         subjects (tenant.type) whose route rests; resting_tenants: tenants that rest as a whole
--
-- An event is held while an earlier unfinished one of its key is elsewhere: in another relay's hands, tried and
-- returned, passed over, resting. It need not be sought among events that were never tried: those come first in
-- the scan. What this relay itself has in hand does not hold: it publishes in order of claims.
--
-- The time is that of the statement: the transaction may have begun seconds ago, to wait for its turn.

-- Where the scan starts, when, and from which lease on all are new.
WITH place AS MATERIALIZED (
    SELECT
        least(%(start)s::bigint, min(writer.first)) AS start,
        -- Behind the commit of everything that this statement sees, and before all that it writes.
        pg_current_wal_insert_lsn() AS seen_to,
        -- How long the turn was waited for: the lease begins no earlier than so long after the transaction.
        extract(epoch FROM clock_timestamp() - transaction_timestamp())::float8 AS waited,
        -- Tokens begin with a number. When those have gone back meanwhile, any lease may be new.
        CASE
            WHEN %(seen_to)s::uuid <= encode(
                int8send(coalesce(pg_sequence_last_value('{schema}.event_outbox_lease_seq'::regclass), 0))
                || decode(repeat('f', 16), 'hex'), 'hex')::uuid
            THEN %(seen_to)s::uuid
            ELSE '00000000-0000-0000-0000-000000000000'
        END AS known_lease
    FROM unnest(%(running)s::bigint[], %(running_from)s::bigint[]) AS writer (transaction, first)
    WHERE pg_visible_in_snapshot(writer.transaction::text::xid8, pg_current_snapshot())
),
-- What operators have paused, read here so that every relay obeys at once. A paused tenant is one that rests; a paused
-- type is left out like a resting subject, but never makes its whole tenant rest: a pause lasts.
pause AS MATERIALIZED (
    SELECT
        %(resting_tenants)s::text[] || array_agg(tenant_id::text) FILTER (WHERE event_type IS NULL) AS tenants,
        coalesce(array_agg(event_type::text) FILTER (WHERE tenant_id IS NULL), '{{}}') AS types,
        coalesce(array_agg(tenant_id || '.' || event_type) FILTER (WHERE tenant_id || event_type IS NOT NULL), '{{}}')
            AS subjects,
        count(*) > 0 OR cardinality(%(resting)s::text[] || %(resting_tenants)s::text[]) > 0 AS any_rest,
        -- Before PostgreSQL 17 one that has no end cannot be reckoned with.
        extract(epoch FROM min(until) FILTER (WHERE isfinite(until)) - statement_timestamp())::float8 AS ends_in
    FROM {schema}.event_outbox_pause
    WHERE until IS NULL OR until > statement_timestamp()
),
-- What other relays have in hand.
foreign_lease AS MATERIALIZED (
    SELECT lease_token, ordering_key
    FROM {schema}.event_outbox
    WHERE status = 'in_progress' AND lease_token = ANY(%(foreign)s::uuid[])
    UNION ALL
    SELECT lease_token, ordering_key
    FROM {schema}.event_outbox
    WHERE status = 'in_progress' AND lease_token > (SELECT known_lease FROM place) AND lease_token <> ALL(%(own)s::uuid[])
),
-- Aggregates with an event in other hands, or on its way back: all others of theirs have to wait.
busy_key AS MATERIALIZED (
    SELECT ordering_key FROM foreign_lease WHERE ordering_key IS NOT NULL AND %(ordered)s::boolean
    UNION
    SELECT unnest(%(held)s::bigint[])
),
-- And those of which an event was passed over: what the scan meets of theirs now comes after it.
held_key AS MATERIALIZED (
    SELECT ordering_key FROM busy_key
    UNION
    SELECT jsonb_object_keys(%(passed)s::jsonb)::bigint
),
-- What was due from birth, in the order of ids. What may not go is met too, so that `passed` can tell of it.
scanned AS MATERIALIZED (
    SELECT
        id,
        tenant_id,
        CASE WHEN %(ordered)s::boolean THEN ordering_key END AS ordering_key,
        claims,
        coalesce(pg_column_size(payload), pg_column_size(payload_bytes)) + pg_column_size(headers) AS stored,
        coalesce(pg_column_compression(payload), pg_column_compression(payload_bytes)) IS NOT NULL AS compressed,
        (cardinality(%(resting)s::text[]) > 0 AND tenant_id || '.' || event_type = ANY(%(resting)s::text[]))
            OR tenant_id = ANY((SELECT tenants FROM pause)::text[]) AS rests,
        event_type = ANY((SELECT types FROM pause)::text[])
            OR (cardinality((SELECT subjects FROM pause)) > 0
                AND tenant_id || '.' || event_type = ANY((SELECT subjects FROM pause)::text[])) AS paused,
        ordering_key IS NOT NULL AND ordering_key IN (SELECT ordering_key FROM held_key) AS held
    FROM {schema}.event_outbox
    WHERE status = 'pending' AND available_at <= created_at AND id >= (SELECT start FROM place)
    ORDER BY id
    LIMIT %(scan)s::bigint
),
reach AS MATERIALIZED (
    SELECT
        count(*) < %(scan)s::bigint AS exhausted,
        coalesce(max(id), (SELECT start FROM place) - 1) AS scanned_to
    FROM scanned
),
-- What was put off or scheduled, and its time has come. What may not go is left out: each claim looks at it again.
waiting AS MATERIALIZED (
    SELECT
        id,
        CASE WHEN %(ordered)s::boolean THEN ordering_key END AS ordering_key,
        claims,
        coalesce(pg_column_size(payload), pg_column_size(payload_bytes)) + pg_column_size(headers) AS stored,
        coalesce(pg_column_compression(payload), pg_column_compression(payload_bytes)) IS NOT NULL AS compressed
    FROM {schema}.event_outbox AS event
    WHERE status = 'pending' AND available_at > created_at AND available_at <= statement_timestamp()
        AND NOT (cardinality(%(resting)s::text[]) > 0 AND tenant_id || '.' || event_type = ANY(%(resting)s::text[]))
        AND NOT tenant_id = ANY((SELECT tenants FROM pause)::text[])
        AND NOT event_type = ANY((SELECT types FROM pause)::text[])
        AND NOT (cardinality((SELECT subjects FROM pause)) > 0
            AND tenant_id || '.' || event_type = ANY((SELECT subjects FROM pause)::text[]))
        AND (
            ordering_key IS NULL OR NOT %(ordered)s::boolean
            -- A schedule waits for what was written before it and has not been reached by the scan.
            OR ((id <= (SELECT scanned_to FROM reach) OR (SELECT exhausted FROM reach))
                AND ordering_key NOT IN (SELECT ordering_key FROM busy_key)
                AND NOT coalesce((%(passed)s::jsonb ->> ordering_key::text)::bigint < id, false)
                -- What cannot go must not fill the list: behind an obstacle that comes later in it, or not at all.
                AND NOT EXISTS (
                    SELECT
                    FROM {schema}.event_outbox AS earlier
                    WHERE earlier.status = 'pending'
                        AND earlier.ordering_key = event.ordering_key
                        AND (earlier.attempts > 0 OR earlier.last_error IS NOT NULL)
                        AND earlier.id < event.id
                        AND earlier.available_at > event.available_at
                )
                AND NOT (%(block)s::boolean AND EXISTS (
                    SELECT
                    FROM {schema}.event_outbox AS failed
                    WHERE failed.status = 'failed'
                        AND failed.ordering_key = event.ordering_key
                        AND failed.id < event.id
                )))
        )
    ORDER BY available_at, id
    LIMIT %(rows)s::bigint
),
-- What may go, as far as can be told by looking at it alone.
candidate AS MATERIALIZED (
    SELECT id, ordering_key, claims, stored, compressed, true AS is_scanned
    FROM scanned
    WHERE NOT rests AND NOT paused AND NOT held
    UNION ALL
    SELECT id, ordering_key, claims, stored, compressed, false AS is_scanned FROM waiting
),
-- By key, the first event that is tried and returned, or that rests, and is not taken now: later ones wait.
barrier AS MATERIALIZED (
    SELECT ordering_key, min(id) AS id
    FROM (
        SELECT key.ordering_key, returned.id
        FROM (SELECT DISTINCT ordering_key FROM candidate WHERE ordering_key IS NOT NULL) AS key
        CROSS JOIN LATERAL (
            SELECT event.id
            FROM {schema}.event_outbox AS event
            WHERE event.status = 'pending'
                AND event.ordering_key = key.ordering_key
                AND (event.attempts > 0 OR event.last_error IS NOT NULL)
                AND event.id NOT IN (SELECT id FROM candidate)
            ORDER BY event.ordering_key, event.id
            LIMIT 1
        ) AS returned
        WHERE EXISTS (
            SELECT
            FROM {schema}.event_outbox
            WHERE status = 'pending' AND ordering_key IS NOT NULL AND (attempts > 0 OR last_error IS NOT NULL)
        )
        UNION ALL
        SELECT key.ordering_key, failed.id
        FROM (SELECT DISTINCT ordering_key FROM candidate WHERE ordering_key IS NOT NULL) AS key
        CROSS JOIN LATERAL (
            SELECT event.id
            FROM {schema}.event_outbox AS event
            WHERE event.status = 'failed' AND event.ordering_key = key.ordering_key
            ORDER BY event.ordering_key, event.id
            LIMIT 1
        ) AS failed
        WHERE %(block)s::boolean
        UNION ALL
        SELECT ordering_key, id FROM scanned WHERE (rests OR paused) AND ordering_key IS NOT NULL
        UNION ALL
        -- What was scheduled, and is held now that its time has come.
        SELECT ordering_key, id
        FROM {schema}.event_outbox
        WHERE (SELECT any_rest FROM pause)
            AND %(ordered)s::boolean
            AND status = 'pending' AND available_at > created_at AND available_at <= statement_timestamp()
            AND ordering_key IS NOT NULL
            AND (tenant_id = ANY((SELECT tenants FROM pause)::text[])
                OR event_type = ANY((SELECT types FROM pause)::text[])
                OR tenant_id || '.' || event_type = ANY(%(resting)s::text[] || (SELECT subjects FROM pause)))
    ) AS obstacle
    GROUP BY ordering_key
),
-- What may go, counted by id.
free AS MATERIALIZED (
    SELECT
        candidate.id,
        candidate.stored,
        candidate.compressed,
        candidate.is_scanned,
        row_number() OVER by_id AS row,
        count(*) FILTER (WHERE candidate.compressed AND candidate.stored > 4096) OVER by_id AS large,
        count(*) FILTER (WHERE candidate.claims >= %(max_claims)s::int) OVER by_id AS suspects
    FROM candidate
    LEFT JOIN barrier USING (ordering_key)
    WHERE barrier.id IS NULL OR candidate.id < barrier.id
    WINDOW by_id AS (ORDER BY candidate.id)
),
-- What a body weighs in memory. A compressed one has to be opened to know, so only a few large ones are; unopened, it
-- may be as much larger as compression can make it.
sized AS MATERIALIZED (
    SELECT
        id,
        row,
        suspects,
        sum(CASE
            WHEN NOT compressed THEN stored
            WHEN NOT %(opening)s::boolean THEN stored * 100
            WHEN stored <= 1024 THEN stored * 8
            ELSE (
                SELECT coalesce(octet_length(payload_bytes), octet_length(payload::text)) + pg_column_size(headers)
                FROM {schema}.event_outbox AS event
                WHERE event.id = free.id)
        END) OVER (ORDER BY id) AS bytes
    FROM free
    WHERE row = 1 OR (row <= %(rows)s::bigint AND large <= 16 AND suspects = 0)
),
-- A cut by rows or bytes falls at one id for all keys, so no key loses an event out of its middle.
chosen AS MATERIALIZED (
    SELECT id, suspects, bytes
    FROM sized
    WHERE row = 1 OR bytes <= %(bytes)s::bigint
),
-- Greater than those before, for `seen_to`; and not to be guessed. None is drawn for nothing.
token AS MATERIALIZED (
    SELECT encode(
        int8send(nextval('{schema}.event_outbox_lease_seq')) || substring(uuid_send(gen_random_uuid()) FROM 9),
        'hex')::uuid AS value
    WHERE EXISTS (SELECT FROM chosen)
),
claimed AS (
    UPDATE {schema}.event_outbox
    SET status = 'in_progress',
        claims = claims + 1,
        lease_token = (SELECT value FROM token),
        lease_until = clock_timestamp() + %(lease)s::float8 * interval '1 second',
        claimed_by = %(relay)s::text
    WHERE id = ANY(ARRAY(SELECT id FROM chosen)) AND status = 'pending'
    RETURNING id
),
-- The scan is done with everything up to here: taken, or passed over and remembered.
frontier AS MATERIALIZED (
    SELECT coalesce(
        (SELECT min(id) - 1 FROM free WHERE is_scanned AND id NOT IN (SELECT id FROM chosen)),
        (SELECT scanned_to FROM reach)) AS id
),
-- What may not go, and lies where no scan will come again.
passed AS MATERIALIZED (
    SELECT tenant_id, ordering_key, min(id) AS id, bool_or(rests) AS rests
    FROM scanned
    WHERE id <= (SELECT id FROM frontier) AND id NOT IN (SELECT id FROM chosen)
    GROUP BY tenant_id, ordering_key
    ORDER BY min(id)
    LIMIT %(remember)s::bigint
)
SELECT
    (SELECT value FROM token) AS token,
    (SELECT count(*) FROM claimed) AS claimed,
    (SELECT waited FROM place) AS waited,
    -- Nothing may be published that a crash could still undo, so the commit waits for its flush, which carries along
    -- whatever was committed before; unless all that this statement can see is on disk already.
    set_config(
        'synchronous_commit',
        CASE WHEN pg_current_wal_flush_lsn() >= (SELECT seen_to FROM place) THEN 'off' ELSE 'local' END,
        true) AS synchronous_commit,
    -- A light batch is read at once, by the statement behind this one: it fits into what a frozen relay leaves room for.
    set_config(
        'outbox_notify.light',
        CASE
            WHEN %(opening)s::boolean
                AND (SELECT count(*) <= %(light_rows)s::bigint AND max(bytes) <= %(light_bytes)s::bigint FROM chosen)
            THEN (SELECT value FROM token)::text
            ELSE ''
        END,
        true) AS light,
    (SELECT count(*) FROM free) AS free,
    coalesce((SELECT max(suspects) FROM chosen), 0) > 0 AS suspect,
    frontier.id AS frontier,
    reach.exhausted AND NOT EXISTS (SELECT FROM free WHERE id NOT IN (SELECT id FROM chosen)) AS exhausted,
    ARRAY(SELECT tenant_id::text FROM passed ORDER BY id) AS passed_tenants,
    ARRAY(SELECT ordering_key FROM passed ORDER BY id) AS passed_keys,
    ARRAY(SELECT id FROM passed ORDER BY id) AS passed_ids,
    ARRAY(SELECT rests FROM passed ORDER BY id) AS passed_rests,
    ARRAY(SELECT DISTINCT lease_token FROM foreign_lease) AS foreign,
    ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot())::text::bigint) AS running,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS horizon,
    -- Given when the snapshot was taken already, also to a claim that found nothing.
    pg_current_xact_id()::text::bigint AS own,
    extract(epoch FROM (
        SELECT available_at
        FROM {schema}.event_outbox
        WHERE status = 'pending' AND available_at > created_at
            AND available_at > statement_timestamp() AND available_at < 'infinity'
        ORDER BY available_at, id
        LIMIT 1) - statement_timestamp())::float8 AS next_due_in,
    (SELECT ends_in FROM pause) AS pause_ends_in
FROM frontier, reach
