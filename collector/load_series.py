"""Series of throughput tests as the agents tell of them: budgets, ends, the newest test. Live road.

Only links of the agent's own node are shown, with the inventory's labels.
"""

from collections.abc import Iterable

from collector import metrics as m
from collector.inventory import Inventory
from collector.live import AgentNow
from collector.metrics import Family

NS = 1_000_000_000
ENDS = Family(
    "pantau_link_throughput_tests_total",
    "counter",
    "Directions of throughput tests by what became of them, as the node counts them.",
)
DEFERRED = Family(
    "pantau_link_throughput_deferred_total",
    "counter",
    "Looks at the users' traffic that put a throughput test off.",
)
LAST = Family(
    "pantau_link_throughput_last_test_timestamp_seconds",
    "gauge",
    "When the newest throughput test that was done began, by the node's clock.",
)
USED = Family(
    "pantau_link_throughput_budget_used_bytes",
    "gauge",
    "Bytes of IP packets that throughput tests took of the link this month, as the node counts.",
)
LIMIT = Family(
    "pantau_link_throughput_budget_limit_bytes",
    "gauge",
    "Bytes of IP packets that throughput tests may take of the link in a month.",
)
FROM_TESTS = (ENDS, DEFERRED, LAST, USED, LIMIT)


def pages(
    agents: Iterable[AgentNow], inventory: Inventory
) -> Iterable[tuple[Family, Iterable[str]]]:
    """Families with their lines."""
    lines: dict[Family, list[str]] = {family: [] for family in FROM_TESTS}
    for now in agents:
        for family, line in _samples(now, inventory):
            lines[family].append(line)
    return lines.items()


def _samples(now: AgentNow, inventory: Inventory) -> Iterable[tuple[Family, str]]:
    told = now.status.throughput
    for one in () if told is None else told.links:
        link = inventory.links.get(one.link)
        if link is None or link.node != now.agent.node:
            continue
        label = m.labels(link=link.id, node=link.node)
        for end, count in sorted(one.ends.items()):
            yield ENDS, f'{ENDS.name}{label[:-1]},outcome="{end}"}} {count}\n'
        yield DEFERRED, m.sample(DEFERRED, label, one.deferred)
        if one.last_test_wall_ns is not None:
            yield LAST, m.sample(LAST, label, one.last_test_wall_ns / NS)
        yield USED, m.sample(USED, label, one.used_bytes)
        yield LIMIT, m.sample(LIMIT, label, one.budget_bytes)
