"""The migrations as files of another tool, which then owns the schema."""
