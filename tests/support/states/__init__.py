"""A world of relays, writers and a stream that moves step by step: what the state machine of the tests plays with."""
