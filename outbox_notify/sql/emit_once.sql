-- Write events as emit.sql does, of which some bring their own id and may be there already.
--
-- ON CONFLICT names no target, because that would need SELECT; a writer has INSERT only. So it also leaves out, without
-- a word, an event whose row id is taken: after a restore or a failover that has set the sequence back. Only those whose
-- writer asked for repeats to be ignored take that risk.
{emit}
ON CONFLICT DO NOTHING
