-- Which process of which start of which server answers, for `doctor`: behind a pooler another one each time.
SELECT pg_backend_pid() AS pid, extract(epoch FROM pg_postmaster_start_time())::text || ' ' || current_database() AS server
