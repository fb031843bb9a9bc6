-- Let go of the wake lock, all of it: a lock taken twice and released once is still held.
SELECT pg_advisory_unlock_all()
