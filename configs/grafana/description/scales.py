"""Colours by value that several dashboards share."""

from configs.grafana.description.panels import GREEN, GREY, ORANGE, RED, YELLOW, Steps

CODES: Steps = ((None, GREEN), (1, GREY), (2, RED))
"""Of states, as `queries.state` numbers them."""
NOTHING: Steps = ((None, GREEN), (1, RED))
"""Of what should be 0."""
LOSS: Steps = ((None, GREEN), (0.005, YELLOW), (0.02, ORANGE), (0.1, RED))
USED: Steps = ((None, GREEN), (0.5, YELLOW), (0.8, ORANGE), (1, RED))
"""Of a budget; above 1 it is overdrawn."""
BURN: Steps = ((None, GREEN), (1, YELLOW), (6, ORANGE), (14.4, RED))
"""Of burn rates; 6 and 14.4 are where PantauAvailabilityBudgetBurn begins."""
LAG: Steps = ((None, GREEN), (600, YELLOW), (3600, ORANGE), (86_400, RED))
"""Of seconds by which evidence is late; 600 is what the alerts call in time."""
CLEAR: tuple[None, str] = (None, "transparent")


def cells(steps: Steps) -> Steps:
    """The same for cells of a table: what is well has no colour."""
    return (CLEAR, *steps[1:])
