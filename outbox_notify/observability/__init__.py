"""How a running relay is watched."""
