"""The audit as a document: assembled into one record, frozen, and rendered in several forms."""
