-- Open a read of bodies: they take as long as they are large and the way is long, and hold up nobody meanwhile. The
-- relay itself sees to silence; a timeout that the role has for other work would end each read in the same place.
SELECT
    set_config('statement_timeout', '0', true) AS statement_timeout,
{unhurried}
