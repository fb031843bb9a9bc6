-- Give the turn of migrate_session_turn back. False means that it was taken on another connection: a transaction pooler.
SELECT pg_advisory_unlock(hashtextextended('outbox-notify migrate ' || %(schema)s, 0)) AS given_back
