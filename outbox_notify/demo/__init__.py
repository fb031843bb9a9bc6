"""The whole way on embedded servers: a warehouse writes events, a relay publishes them, a reader counts.

The relay is the real command in a process of its own; nothing here reaches into it.
"""
