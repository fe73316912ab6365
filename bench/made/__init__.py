"""An invented district: what its boxes, links and faults would have left in the ledger."""
