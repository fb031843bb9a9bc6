-- Settings of one question about an event: as for `status`, and never waiting long for who has locked the table.
{status_begin},
    set_config('lock_timeout', '1s', true)
