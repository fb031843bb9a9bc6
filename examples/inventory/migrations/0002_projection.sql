-- No rule against less than zero: a delivery may be heard of before the receipt of its goods.

CREATE TABLE inventory.projection (
    tenant_id    text   NOT NULL,
    warehouse_id jsonb  NOT NULL,
    product_id   jsonb  NOT NULL,
    quantity     bigint NOT NULL,
    PRIMARY KEY (tenant_id, warehouse_id, product_id)
);
