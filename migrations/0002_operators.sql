-- What operators do and want: their acts, what they have paused, and how far a replay has come. Only new tables, so a
-- relay of the version before goes on as it was; it does not know of pauses.

-- Who did what, when and to how many events. A row is written in the transaction of the act; an act of many transactions
-- counts up in each. Nobody but the owner can change or remove a row.
CREATE TABLE event_outbox_audit (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT now(),
    role       text NOT NULL DEFAULT session_user,
    client     text NOT NULL,
    act        text NOT NULL,
    arguments  jsonb NOT NULL DEFAULT '{}',
    events     bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_outbox_audit_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE event_outbox_audit IS 'What operators did: one row an act';
COMMENT ON COLUMN event_outbox_audit.role IS 'Who logged in to PostgreSQL';
COMMENT ON COLUMN event_outbox_audit.client IS 'User and host of the command, as it says itself';
COMMENT ON COLUMN event_outbox_audit.events IS 'How many events it touched so far';

-- What relays must leave alone: a tenant, a type of event, or a type of one tenant. Every claim reads it, so it is to stay
-- small: a pause that is over does nothing, and goes with the next pause or resume.
CREATE TABLE event_outbox_pause (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id   event_outbox_token,
    event_type  event_outbox_type,
    until       timestamptz,
    since       timestamptz NOT NULL DEFAULT now(),
    by          text NOT NULL DEFAULT session_user,
    reason      text,
    CONSTRAINT event_outbox_pause_pkey PRIMARY KEY (id),
    CONSTRAINT event_outbox_pause_of_something CHECK (tenant_id IS NOT NULL OR event_type IS NOT NULL)
);

CREATE UNIQUE INDEX event_outbox_pause_once
    ON event_outbox_pause (coalesce(tenant_id::text, ''), coalesce(event_type::text, ''));

COMMENT ON TABLE event_outbox_pause IS 'Events that relays leave alone; later events of their aggregates wait';
COMMENT ON COLUMN event_outbox_pause.until IS 'When it is over by itself; null: when somebody resumes';

-- Published events that are published again. The position moves when their acks are in, and `sent_to` before they are
-- sent: who goes on after a crash knows what may be in the stream already.
CREATE TABLE event_outbox_replay (
    id           text NOT NULL,
    audit_id     bigint NOT NULL,
    prefix       text NOT NULL,
    which        jsonb NOT NULL,
    last_id      bigint NOT NULL,
    events       bigint NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    position     bigint NOT NULL DEFAULT 0,
    sent_to      bigint NOT NULL DEFAULT 0,
    replayed     bigint NOT NULL DEFAULT 0,
    duplicates   bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_outbox_replay_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE event_outbox_replay IS 'Replays of published events, and how far they have come';
COMMENT ON COLUMN event_outbox_replay.id IS 'In the message ids of what it sends: <event_id>;r=<id>';
COMMENT ON COLUMN event_outbox_replay.position IS 'Every event up to here has its ack';
COMMENT ON COLUMN event_outbox_replay.duplicates IS 'Acks that said that the stream holds the message already';
