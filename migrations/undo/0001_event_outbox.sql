-- Nobody takes an event away that was not published: the lock keeps writers out between the question and the end.
LOCK TABLE event_outbox IN ACCESS EXCLUSIVE MODE;

DO $$
BEGIN
    IF EXISTS (SELECT FROM event_outbox WHERE status <> 'published') THEN
        RAISE EXCEPTION 'the outbox holds events that were not published'
            USING HINT = 'Let a relay publish them (outbox-notify relay --drain), or delete them.';
    END IF;
END
$$;

DROP TABLE event_outbox, event_outbox_migration;
DROP SEQUENCE event_outbox_lease_seq;
DROP DOMAIN
    event_outbox_token, event_outbox_type, event_outbox_aggregate_id, event_outbox_content_type,
    event_outbox_status, event_outbox_headers;
DROP FUNCTION
    event_outbox_notify(), event_outbox_wake(), event_outbox_ordering_key(text, text, text),
    event_outbox_headers_valid(jsonb);
-- Only there where the migration ran before PostgreSQL 18.
DROP FUNCTION IF EXISTS event_outbox_uuidv7();
