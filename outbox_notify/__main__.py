"""`python -m outbox_notify` is `outbox-notify`."""

from outbox_notify.cli import main

main()
