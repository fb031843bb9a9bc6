-- A trigger that still calls it fails when it fires, not here: plpgsql looks names up late.
DROP FUNCTION outbox_emit;
