-- Create the table in which consumers note what they have handled, in their own database.
-- The consumer comes first in the key: each one is in a part of the index of its own, and ids of version 7 are added
-- at its right edge.
CREATE TABLE IF NOT EXISTS {schema}.event_inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
)
