"""A soak: random faults, chosen by a seed, against relays and servers while services write; then the account."""
