-- Names of warehouses and products are the callers' own, strings or numbers: jsonb keeps them as they came.

CREATE TABLE inventory.document (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    kind         text        NOT NULL CHECK (kind IN ('receipt', 'delivery')),
    tenant_id    text        NOT NULL,
    warehouse_id jsonb       NOT NULL,
    lines        jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    done_at      timestamptz
);

CREATE TABLE inventory.stock (
    tenant_id    text   NOT NULL,
    warehouse_id jsonb  NOT NULL,
    product_id   jsonb  NOT NULL,
    quantity     bigint NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (tenant_id, warehouse_id, product_id)
);
