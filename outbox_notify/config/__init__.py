"""Settings: each declared once, read from flags, environment, file and defaults, checked together."""
