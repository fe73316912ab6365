"""PromQL that several panels share: which links are meant, and how two series are put together.

Expressions over one link are taken by `max`, so that two Prometheus servers behind one datasource,
or a collector scraped by two jobs, do not show a link twice.
"""

PICKED = 'district=~"$district", kind=~"$kind", provider=~"$provider"'
LINKS = f'link:pantau_link_info:max{{{PICKED}, link=~"$links"}}'
"""The links that the variables name; recorded by configs/prometheus/rules."""
NODES = 'node:pantau_link_info:max{district=~"$district", kind=~"$kind"}'
"""The nodes that have links, by the variables."""
LABELS = ("node_name", "district", "provider", "pop")
UP, UNKNOWN, DOWN = 0, 1, 2
"""States as numbers that rise with what there is to do: for colours, and a node's worst link."""
LOST = "pantau_link_packets_lost_total"
SENT = "pantau_link_packets_sent_total"


def of_links(expression: str) -> str:
    """The expression, by link, for the links that are picked."""
    return f"{expression} and on (link) {LINKS}"


def named(expression: str, labels: tuple[str, ...] = LABELS) -> str:
    """The same, with what the inventory says of each link."""
    return f"{expression} * on (link) group_left ({', '.join(labels)}) {LINKS}"


def by_link(metric: str) -> str:
    """One value for each link."""
    return f"max by (link) ({metric})"


def state(matchers: str = "") -> str:
    """The live state of each link as a number: UP, UNKNOWN or DOWN."""
    more = f", {matchers}" if matchers else ""
    return (
        f'({DOWN} * max by (link) (pantau_link_state{{state="down"{more}}})'
        f' + max by (link) (pantau_link_state{{state="unknown"{more}}}))'
    )


def lost_ratio(
    by: str, lost: str = LOST, matchers: str = "", over: str = "$__rate_interval"
) -> str:
    """Share of the packets that were lost, by these labels: a ratio of sums."""
    return (
        f"sum by ({by}) (increase({lost}{{{matchers}}}[{over}]))"
        f" / (sum by ({by}) (increase({SENT}{{{matchers}}}[{over}])) > 0)"
    )


def bits(expression: str) -> str:
    """Bytes per second as the bits per second in which rates are contracted."""
    return f"8 * {expression}"


def milliseconds(expression: str) -> str:
    """Seconds since 1970 as Grafana's units of time want them."""
    return f"1000 * {expression}"
