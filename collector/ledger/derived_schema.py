"""Tables of what is derived from the evidence, and what goes in and out of them."""

from typing import NamedTuple

from collector.audit.histogram import Histogram
from collector.ledger import PlacedBy, Placement
from collector.settle.stretch import Stretch
from wire.batch import Batch
from wire.journal import Anchor

HOUR_S = 3600
TRANSFER = "transfer"
"""Kind of the samples that are throughput tests."""
DERIVED_VERSION = b"6"
"""Raised by each change of what is derived: the next start reads everything anew."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS stretch (
  batch_id INTEGER NOT NULL REFERENCES batch (id), link TEXT NOT NULL, target TEXT NOT NULL,
  view INTEGER NOT NULL, interval_ns INTEGER NOT NULL, first_boot_ns INTEGER NOT NULL,
  last_boot_ns INTEGER NOT NULL, from_s INTEGER NOT NULL, to_s INTEGER NOT NULL,
  beats BLOB NOT NULL, PRIMARY KEY (batch_id, link, target, view)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stretch_when ON stretch (link, to_s, from_s);

CREATE TABLE IF NOT EXISTS life (
  agent_id BLOB NOT NULL, epoch BLOB NOT NULL, boot_id BLOB NOT NULL,
  first_boot_ns INTEGER NOT NULL, last_boot_ns INTEGER NOT NULL, stopped INTEGER NOT NULL,
  first_batch INTEGER NOT NULL, PRIMARY KEY (agent_id, epoch)
) STRICT, WITHOUT ROWID;

-- Readings of devices and of power, and throughput tests, by link: `line` is the record as it was
-- signed.
CREATE TABLE IF NOT EXISTS sample (
  batch_id INTEGER NOT NULL REFERENCES batch (id), link TEXT NOT NULL, target TEXT NOT NULL,
  kind TEXT NOT NULL, boot_ns INTEGER NOT NULL, at_s INTEGER NOT NULL, line BLOB NOT NULL,
  PRIMARY KEY (batch_id, link, target, kind, boot_ns)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sample_when ON sample (link, kind, at_s);

-- Round-trip times of one target in one batch, in buckets that merge.
CREATE TABLE IF NOT EXISTS delay (
  batch_id INTEGER NOT NULL REFERENCES batch (id), link TEXT NOT NULL, target TEXT NOT NULL,
  boot_ns INTEGER NOT NULL, at_s INTEGER NOT NULL, lost INTEGER NOT NULL, counts BLOB NOT NULL,
  PRIMARY KEY (batch_id, link, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delay_when ON delay (link, target, at_s);

-- Sums by UTC hour (collector/ledger/hours.py), which a late batch of the hour makes void.
CREATE TABLE IF NOT EXISTS delay_hour (
  link TEXT NOT NULL, target TEXT NOT NULL, hour INTEGER NOT NULL, sum BLOB NOT NULL,
  PRIMARY KEY (link, target, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delay_hour_when ON delay_hour (link, hour);

CREATE TABLE IF NOT EXISTS evidence_hour (
  link TEXT NOT NULL, hour INTEGER NOT NULL, batches INTEGER NOT NULL, digest BLOB NOT NULL,
  PRIMARY KEY (link, hour)
) STRICT, WITHOUT ROWID;

-- Seconds of an hour that wait to be woven anew.
CREATE TABLE IF NOT EXISTS dirty (
  link TEXT NOT NULL, hour INTEGER NOT NULL, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL,
  PRIMARY KEY (link, hour)
) STRICT, WITHOUT ROWID;

-- `lived` is the end of the hour's last second in which the node's agent is known to have run.
CREATE TABLE IF NOT EXISTS strip (
  link TEXT NOT NULL, hour INTEGER NOT NULL, lived INTEGER, runs BLOB NOT NULL,
  PRIMARY KEY (link, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS strip_lived ON strip (link, lived) WHERE lived NOTNULL;

-- Seconds of a link that were woven anew and wait to be judged anew.
CREATE TABLE IF NOT EXISTS rejudge (
  link TEXT PRIMARY KEY, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The collector's own life, which nothing signs: when it ran, it heard.
CREATE TABLE IF NOT EXISTS hub_run (
  id INTEGER PRIMARY KEY, began_s INTEGER NOT NULL, alive_s INTEGER NOT NULL
) STRICT;
"""
TABLES = (
    "stretch",
    "life",
    "sample",
    "delay",
    "delay_hour",
    "evidence_hour",
    "dirty",
    "strip",
    "rejudge",
)


class Unread(NamedTuple):
    """A batch that was not derived from yet."""

    batch_id: int
    batch: Batch
    received_wall_ns: int
    placement: Placement


class Sample(NamedTuple):
    """A record of a device, of a power source or of a throughput test, and when it was made."""

    target: str
    kind: str
    boot_ns: int
    at_s: int
    line: bytes


class Delay(NamedTuple):
    """Round-trip times of one target in one batch, from `boot_ns` on."""

    link: str
    target: str
    boot_ns: int
    histogram: Histogram


class TransferRow(NamedTuple):
    """A throughput test on the calendar."""

    at_s: int
    placed_by: PlacedBy
    error_ns: int | None
    """Bound on the error of its place; None: unbounded."""
    line: bytes


class Derived(NamedTuple):
    """What one batch says to the audit."""

    unread: Unread
    stretches: tuple[Stretch, ...]
    samples: tuple[tuple[str, Sample], ...]
    """(link, sample)"""
    delays: tuple[Delay, ...]
    stopped: bool
    anchor: Anchor | None
    """The hub's clock as the batch's newest heartbeat knew it, if it can be believed."""


class StretchRow(NamedTuple):
    """A stretch with what places it."""

    agent_id: bytes
    boot_id: bytes
    epoch: bytes
    placement: Placement
    stretch: Stretch


class LifeRow(NamedTuple):
    """One epoch of an agent by its batches that are here."""

    agent_id: bytes
    epoch: bytes
    boot_id: bytes
    first_boot_ns: int
    last_boot_ns: int
    stopped: bool
    placement: Placement
