-- How many published events are meant by a replay, and up to which id: what was counted before a question is what is
-- sent after it, but for what is pruned meanwhile.
SELECT count(*) AS events, coalesce(max(id), 0) AS last_id
{replay_meant}
