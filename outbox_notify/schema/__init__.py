"""The outbox's schema: its migrations, their history, and what differs from them."""
