-- Whether ids that are still to be given lie above those that are there, for `doctor`: a restore or a setval may have
-- taken the sequence back. `last` is null where the role may not read it.
SELECT
    sequence,
    (SELECT max(id) FROM {schema}.event_outbox) AS highest,
    CASE WHEN has_sequence_privilege(sequence, 'USAGE, SELECT') THEN coalesce(pg_sequence_last_value(sequence::regclass), 0) END
        AS last,
    (SELECT count(*) FROM {schema}.event_outbox WHERE status = 'pending' AND id < 0) AS below
FROM pg_get_serial_sequence('{schema}.event_outbox', 'id') AS identity (sequence)
