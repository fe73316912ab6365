"""Audits: from evidence to findings. Pure: no I/O, no clock, same input, same bytes out."""
