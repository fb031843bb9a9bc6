"""How fast it is, measured on the machine at hand against a bare loop in the same run: `python -m benchmarks`."""
