"""The SQLite ledger's tables. Append-only: evidence rows are inserted and never changed.

`placement` is the exception: a batch's place on the calendar is a reading of the evidence, not
the evidence, and it improves when a later anchor of the same boot arrives.
"""

VERSION = 2

MIGRATIONS = {1: "CREATE INDEX batch_boot ON batch (agent_id, boot_id, last_boot_ns);"}
"""What brings a ledger of this schema to the next."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE token (
  token_id BLOB PRIMARY KEY, token_digest BLOB NOT NULL, node TEXT NOT NULL,
  created_wall_ns INTEGER NOT NULL, expires_wall_ns INTEGER NOT NULL, used_by BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE agent (
  agent_id BLOB PRIMARY KEY, node TEXT NOT NULL, public_key BLOB NOT NULL,
  exchange_key BLOB NOT NULL, enrolled_wall_ns INTEGER NOT NULL, revoked_wall_ns INTEGER,
  version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (ssid INTEGER PRIMARY KEY, link TEXT NOT NULL UNIQUE) STRICT;

-- The evidence: header, signature and body as received, to the byte.
CREATE TABLE batch (
  id INTEGER PRIMARY KEY, agent_id BLOB NOT NULL, epoch BLOB NOT NULL, seq INTEGER NOT NULL,
  boot_id BLOB NOT NULL, digest BLOB NOT NULL, previous BLOB NOT NULL,
  received_wall_ns INTEGER NOT NULL, observations INTEGER NOT NULL, records INTEGER NOT NULL,
  last_boot_ns INTEGER NOT NULL,
  header BLOB NOT NULL, signature BLOB NOT NULL, body BLOB NOT NULL,
  UNIQUE (agent_id, epoch, seq)
) STRICT;
CREATE INDEX batch_boot ON batch (agent_id, boot_id, last_boot_ns);
CREATE INDEX batch_digest ON batch (agent_id, digest);
-- Two batches with one predecessor are a fork: a cloned box, or a rewritten history.
CREATE UNIQUE INDEX batch_previous ON batch (agent_id, previous) WHERE previous <> zeroblob(32);

CREATE TABLE anchor (
  agent_id BLOB NOT NULL, boot_id BLOB NOT NULL, boot_ns INTEGER NOT NULL,
  hub_wall_ns INTEGER NOT NULL, error_ns INTEGER NOT NULL,
  PRIMARY KEY (agent_id, boot_id, boot_ns)
) STRICT, WITHOUT ROWID;

CREATE TABLE placement (
  batch_id INTEGER PRIMARY KEY REFERENCES batch (id), agent_id BLOB NOT NULL,
  boot_id BLOB NOT NULL, offset_ns INTEGER NOT NULL, error_ns INTEGER, placed_by TEXT NOT NULL
) STRICT;
-- The few that an anchor may still improve, or every anchor would read its whole boot.
CREATE INDEX placement_open ON placement (agent_id, boot_id) WHERE placed_by <> 'anchor';

-- One row per target and batch; times are boot clock, wall = boot + placement.offset_ns.
CREATE TABLE train (
  batch_id INTEGER NOT NULL REFERENCES batch (id), link TEXT NOT NULL, target TEXT NOT NULL,
  probe TEXT NOT NULL, first_boot_ns INTEGER NOT NULL, last_boot_ns INTEGER NOT NULL,
  sent INTEGER NOT NULL, lost INTEGER NOT NULL, not_sent INTEGER NOT NULL,
  forward_lost INTEGER, reverse_lost INTEGER,
  rtt_sum_ns INTEGER NOT NULL, rtt_min_ns INTEGER, rtt_median_ns REAL, rtt_p95_ns REAL,
  rtt_max_ns INTEGER, pdv_p99_ns REAL, jitter_ns REAL,
  PRIMARY KEY (batch_id, link, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  batch_id INTEGER NOT NULL REFERENCES batch (id), kind TEXT NOT NULL, boot_ns INTEGER NOT NULL,
  line BLOB NOT NULL
) STRICT;
CREATE INDEX event_batch ON event (batch_id);

CREATE TABLE gap (
  batch_id INTEGER NOT NULL REFERENCES batch (id), reason TEXT NOT NULL, link TEXT, target TEXT,
  epoch BLOB, first_seq INTEGER, last_seq INTEGER, observations INTEGER
) STRICT;
CREATE INDEX gap_batch ON gap (batch_id);

-- Derived in the same transaction, and equal to what a rebuild from `train` gives.
CREATE TABLE tally (
  link TEXT NOT NULL, target TEXT NOT NULL, sent INTEGER NOT NULL, lost INTEGER NOT NULL,
  not_sent INTEGER NOT NULL, received INTEGER NOT NULL, rtt_sum_ns INTEGER NOT NULL,
  buckets TEXT NOT NULL, forward_lost INTEGER NOT NULL, reverse_lost INTEGER NOT NULL,
  PRIMARY KEY (link, target)
) STRICT, WITHOUT ROWID;

-- How far each epoch has come; the same whatever the order in which its batches arrived.
CREATE TABLE segment (
  agent_id BLOB NOT NULL, epoch BLOB NOT NULL, first_seq INTEGER NOT NULL,
  first_batch INTEGER NOT NULL, next_seq INTEGER NOT NULL, highest_seq INTEGER NOT NULL,
  received INTEGER NOT NULL, settled_batch INTEGER,
  PRIMARY KEY (agent_id, epoch)
) STRICT, WITHOUT ROWID;
"""
