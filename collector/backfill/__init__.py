"""Late data where it belongs: settled series with their own times, by Prometheus remote write.

`series` makes points of what the ledger holds, `remote_write` makes bytes of points and sense of
answers (both pure); `store` keeps how far every endpoint has come, `send` talks to one endpoint,
`service` runs them beside the collector and `by_hand` for a period that somebody names.
"""
