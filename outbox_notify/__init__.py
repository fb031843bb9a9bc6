"""Transactional outbox for PostgreSQL and NATS JetStream."""
