-- One business change of the demo: a document makes a step.
-- Parameters: tenant_id, document, step, quantity.
INSERT INTO {schema}.demo_movement (tenant_id, document, step, quantity)
VALUES (%(tenant_id)s, %(document)s, %(step)s, %(quantity)s)
