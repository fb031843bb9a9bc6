"""Health, metrics and status over HTTP, in the relay's own event loop. It knows what to answer by callables."""
