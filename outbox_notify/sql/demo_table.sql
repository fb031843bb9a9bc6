-- The demo's business table: what its transactions change, beside writing an event.
-- For `outbox-notify demo`, on its embedded server only.
CREATE TABLE {schema}.demo_movement (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text NOT NULL,
    document    text NOT NULL,
    step        int NOT NULL,
    quantity    int NOT NULL,
    UNIQUE (tenant_id, document, step)
)
