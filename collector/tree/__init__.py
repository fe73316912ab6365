"""The tree: every batch and every register entry in append order, hashed as RFC 9162 says.

A tree head is the collector's signed word about all that it held at one moment. Whoever kept an
old head can prove what was altered, inserted or removed since; nobody needs to trust the ledger.
"""
