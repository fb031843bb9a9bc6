"""PostgreSQL, as the relay uses it: claims, settlements, and what wakes it."""
