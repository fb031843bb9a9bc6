-- Only where migrate_place found none: with IF NOT EXISTS the server asks for the right to create even if it exists.
CREATE SCHEMA {schema}
