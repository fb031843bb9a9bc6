"""The relay: its rules and its loop. No I/O; what it needs from servers stands in `ports.py`."""
