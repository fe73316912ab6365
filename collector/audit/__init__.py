"""From evidence to judgement: pure functions of ledger rows, contracts and code version."""
