"""The collector's metrics about itself, in a registry of its own."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from collector.reflector import Reflector
from collector.sessions import DropReason, SessionTable
from runtime.version import VERSION
from wire.errors import Refusal
from wire.message import Closed

WHAT = ("batch", "status", "enrol", "slot")


class _Stamp(Collector):
    """The reflector's own counts, read when scraped."""

    def __init__(self, table: SessionTable, reflector: Reflector) -> None:
        self._table, self._reflector = table, reflector

    def collect(self) -> Iterable[Metric]:
        """One counter of drops with a series per reason, and three of answers."""
        prefix, reflector = "pantau_collector_stamp_packets", self._reflector
        dropped = CounterMetricFamily(
            f"{prefix}_dropped", "STAMP packets not answered.", labels=["reason"]
        )
        for reason in DropReason:
            dropped.add_metric([reason], self._table.dropped[reason])
        yield dropped
        yield CounterMetricFamily(
            f"{prefix}_answered", "STAMP packets answered.", value=reflector.reflected
        )
        yield CounterMetricFamily(
            f"{prefix}_overflowed",
            "STAMP packets that the kernel dropped because this program was slow: its own loss,"
            " and no link's.",
            value=reflector.overflowed,
        )
        yield CounterMetricFamily(
            f"{prefix}_without_kernel_stamp",
            "STAMP packets whose receive time had to be read late, by this program.",
            value=reflector.without_kernel_stamp,
        )


class Counters:
    """Everything under `pantau_collector_`."""

    def __init__(self, table: SessionTable, reflector: Reflector) -> None:
        # When a counter was made is a series of its own in this format, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        prefix = "pantau_collector"
        self.build = Gauge(
            f"{prefix}_build_info",
            "Version of this collector; always 1.",
            ["version"],
            registry=self.registry,
        )
        self.build.labels(VERSION).set(1)
        self.requests = Counter(
            f"{prefix}_requests_accepted",
            "Messages taken from agents.",
            ["what"],
            registry=self.registry,
        )
        self.refused = Counter(
            f"{prefix}_requests_refused",
            "Messages refused; nothing of them is kept.",
            ["what", "reason"],
            registry=self.registry,
        )
        for what in WHAT:
            self.requests.labels(what)
            for refusal in Refusal:
                self.refused.labels(what, refusal)
        self.duplicates = Counter(
            f"{prefix}_batches_duplicate",
            "Batches that were here already.",
            registry=self.registry,
        )
        self.observations = Counter(
            f"{prefix}_observations",
            "Observations made durable, each once.",
            registry=self.registry,
        )
        self.untrusted = Counter(
            f"{prefix}_batches_clock_untrusted",
            "Batches whose agent clock could not be believed; placed by the hub's clock.",
            registry=self.registry,
        )
        self.take_seconds = Histogram(
            f"{prefix}_batch_duration_seconds",
            "From a batch's last byte to its receipt.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.queue = Gauge(
            f"{prefix}_commit_queue_batches",
            "Batches waiting for the disk.",
            registry=self.registry,
        )
        self.registry.register(_Stamp(table, reflector))
        self.agents = Gauge(f"{prefix}_agents", "Agents that may report.", registry=self.registry)
        self.reload_ok = Gauge(
            f"{prefix}_config_last_reload_successful",
            "1 if the last reload was taken.",
            registry=self.registry,
        )
        self.reload_at = Gauge(
            f"{prefix}_config_last_reload_success_timestamp_seconds",
            "When nodes, links and contracts were last taken.",
            registry=self.registry,
        )

        self._slots(f"{prefix}_slots")
        self._tree(f"{prefix}_tree")

    def _tree(self, prefix: str) -> None:
        """The tree of all that was received, and who else knows its heads."""
        self.tree_leaves = Gauge(
            f"{prefix}_leaves",
            "Batches and register entries that the newest head covers.",
            registry=self.registry,
        )
        self.head_signed_at = Gauge(
            f"{prefix}_head_timestamp_seconds",
            "When the newest tree head was signed; one is due each hour. 0 before the first.",
            registry=self.registry,
        )
        self.head_stamped_at = Gauge(
            f"{prefix}_head_stamped_timestamp_seconds",
            "When the newest head was signed that an authority has timestamped; 0 for none.",
            registry=self.registry,
        )
        self.head_mailed_at = Gauge(
            f"{prefix}_head_mailed_timestamp_seconds",
            "When the newest head was signed that every address was sent; 0 for none.",
            registry=self.registry,
        )

    def _slots(self, prefix: str) -> None:
        """Throughput slots."""
        self.slots_granted = Counter(
            f"{prefix}_granted", "Throughput slots given to agents.", registry=self.registry
        )
        self.slots_refused = Counter(
            f"{prefix}_refused",
            "Slots that no waiting would have given, by reason.",
            ["reason"],
            registry=self.registry,
        )
        for closed in Closed:
            self.slots_refused.labels(closed)
        self.slots_expired = Counter(
            f"{prefix}_expired",
            "Slots that nobody gave back: the agent or its link vanished.",
            registry=self.registry,
        )
        self.slots_running = Gauge(
            f"{prefix}_running", "Slots given and not ended.", registry=self.registry
        )
        self.slots_waiting = Gauge(
            f"{prefix}_waiting", "Agents that wait for a slot.", registry=self.registry
        )

    def page(self) -> str:
        """This registry in the text format."""
        return generate_latest(self.registry).decode()
