"""The same backlog drained by other outbox relays, by ours and by a bare loop, in one run.

Each peer runs in a virtual environment of its own, driven by the module of its name; none of its code is here.
"""
