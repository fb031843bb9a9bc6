"""NATS JetStream, as the relay uses it: messages, publishing, and the stream."""
