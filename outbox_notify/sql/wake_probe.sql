-- Send one NOTIFY to ourselves: through a transaction pooler LISTEN is accepted and nothing ever arrives.
SELECT pg_notify(%(channel)s, %(payload)s)
