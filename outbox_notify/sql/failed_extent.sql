-- How many failed events a filter means, and up to which id: what was counted before a question is what is done after it.
SELECT count(*) AS events, coalesce(max(id), 0) AS last_id
{failed_meant}
