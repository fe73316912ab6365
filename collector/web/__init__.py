"""HTTP: the agents' endpoints, the metrics page, health, and the first page."""
