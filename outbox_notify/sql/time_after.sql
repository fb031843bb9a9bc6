-- The time after a delay by the database's clock, which alone decides when an event is due.
-- Parameters: delay, an interval. For `outbox-notify emit --in`; needs no right on any table.
SELECT now() + %(delay)s::interval
