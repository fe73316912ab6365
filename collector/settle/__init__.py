"""From batches to what every second showed: derived from the ledger, and derivable again."""
