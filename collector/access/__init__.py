"""Who may see and do what: accounts, their visits, what programs show instead, and what was done.

Nothing here knows HTTP, and nothing here is evidence: it lies in a database of its own.
"""
