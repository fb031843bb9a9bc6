-- What time it is for the database, whose clock alone decides.
SELECT extract(epoch FROM clock_timestamp())::float8 AS clock
