"""What may go wrong with a benchmark."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A run did not do what it should have, so it measures nothing; the text says what."""
