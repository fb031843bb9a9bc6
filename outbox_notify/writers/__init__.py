"""The writers' side: each library's `emit` puts events into the outbox inside the caller's transaction."""
