"""The backfill's metrics about itself, by endpoint; docs/metrics.md has their rows."""

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from collector.backfill.remote_write import REASONS, Verdict


class BackfillCounters:
    """Of all endpoints."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        prefix, by = "pantau_collector_backfill", ["endpoint"]
        self._sent = Counter(
            f"{prefix}_samples_sent", "Samples that an endpoint took.", by, registry=registry
        )
        self._refused = Counter(
            f"{prefix}_samples_refused",
            "Samples that an endpoint will never take, by reason; not sent again.",
            [*by, "reason"],
            registry=registry,
        )
        self._resent = Counter(
            f"{prefix}_samples_resent",
            "Samples sent again because late evidence changed something of their minutes.",
            by,
            registry=registry,
        )
        self._until = Gauge(
            f"{prefix}_sent_timestamp_seconds",
            "Everything that was settled by then has been sent; now, where nothing waits.",
            by,
            registry=registry,
        )
        self._stuck = Gauge(
            f"{prefix}_stuck",
            "1 from a failed request until the next that succeeds: what waits is kept.",
            by,
            registry=registry,
        )

    def of(self, endpoint: str) -> "EndpointCounters":
        """One endpoint's, from 0."""
        refused = {one: self._refused.labels(endpoint, one.value) for one in REASONS}
        return EndpointCounters(
            self._sent.labels(endpoint),
            refused,
            self._resent.labels(endpoint),
            self._until.labels(endpoint),
            self._stuck.labels(endpoint),
        )


class EndpointCounters:
    """What became of the samples for one endpoint."""

    def __init__(
        self,
        sent: Counter,
        refused: dict[Verdict, Counter],
        resent: Counter,
        until: Gauge,
        stuck: Gauge,
    ) -> None:
        self._sent, self._refused, self.resent = sent, refused, resent
        self.until, self.stuck = until, stuck
        self.taken = 0
        self.refused = dict.fromkeys(refused, 0)

    def take(self, samples: int) -> None:
        """These are stored."""
        self.taken += samples
        self._sent.inc(samples)

    def refuse(self, reason: Verdict, samples: int) -> None:
        """These will never be."""
        self.refused[reason] += samples
        self._refused[reason].inc(samples)
