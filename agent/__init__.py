"""The program at each node: schedule, probe, keep on disk, report when the link allows."""
