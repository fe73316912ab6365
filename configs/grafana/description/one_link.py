"""What the rows of the dashboard of one link share."""

from collections.abc import Iterable

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

ONE = 'link="$link"'
AIMED = 'link="$link", target="$target"'
SCRAPED, SETTLED = "30s", "1m"
"""No step of a graph is shorter than what it shows is new: a scrape, a batch of evidence."""
Panels = Iterable[Builder[model.Panel]]


def greatest(metric: str, by: str = "link", matchers: str = ONE) -> str:
    """One value for each of these labels."""
    return f"max by ({by}) ({metric}{{{matchers}}})"
