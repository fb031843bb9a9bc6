"""An inventory service: goods receipts add stock, delivery orders take it, and both write events as they do.

Read `use_cases` first, then `events`, `transactions` and `consumer`; the rest is HTTP and SQL as in any service.
"""
