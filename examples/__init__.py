"""Services that use outbox_notify; run from a checkout."""
