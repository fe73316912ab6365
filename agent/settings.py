"""The agent's own settings. All have defaults: a technician needs a join token and no file.

What to measure does not stand here; it is the hub's policy for the node.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from runtime.settings import load

DEFAULT_FILE = Path("/etc/pantau/agent.yaml")
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=86_400)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One block of a settings file."""


class SpoolSection(Section, frozen=True, kw_only=True):
    """How much evidence may wait on this box, and how long acknowledged evidence stays."""

    cap_bytes: Annotated[int, msgspec.Meta(ge=2 * 1024 * 1024)] = 256 * 1024 * 1024
    """Disk that the spool may use; about 90 days of one link at the default rates."""
    retain_s: Annotated[float, msgspec.Meta(ge=0)] = 72 * 3600.0
    """How long acknowledged batches are kept, to refill a collector restored from a backup."""


class UplinkSection(Section, frozen=True, kw_only=True):
    """How reports travel over the very link that is measured."""

    backlog_bytes_per_s: Annotated[int, msgspec.Meta(ge=100)] = 4000
    """Most that the backlog may take of the link: 32 kbit/s."""
    timeout_s: Seconds = 15.0
    """Longest wait for the hub in one exchange."""
    backoff_base_s: Seconds = 2.0
    """First wait after a failure; doubled each time, random below it (full jitter)."""
    backoff_cap_s: Seconds = 900.0
    rejoin_spread_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    """After an outage the backlog starts at a random moment within this, so that the boxes of a
    whole district do not start together."""


class RhythmSection(Section, frozen=True, kw_only=True):
    """How often things are written and said."""

    commit_s: Seconds = 7.5
    """What was measured goes to disk this often, at most; settled or not, and behind the first
    answer of a second where there is one. If the box dies, what is unknown begins up to this
    before; every write is a few pages of the card."""
    heartbeat_s: Seconds = 10.0
    seal_s: Seconds = 60.0
    """A batch is sealed, signed and queued this often."""
    status_s: Seconds = 10.0
    """The live status goes out this often."""


class AgentSettings(Section, frozen=True, kw_only=True):
    """agent.yaml."""

    state_dir: str = "/var/lib/pantau-agent"
    """Folder for identity, policy and spool."""
    spool: SpoolSection = SpoolSection()
    uplink: UplinkSection = UplinkSection()
    rhythm: RhythmSection = RhythmSection()

    def digest(self) -> str:
        """SHA-256 over these settings, in hex."""
        import hashlib

        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def read(file: Path | None) -> AgentSettings:
    """The settings file; without one, the default file if it is there, else the defaults.

    Raises SettingsError.
    """
    if file is not None:
        return load(file, AgentSettings)
    return load(DEFAULT_FILE, AgentSettings) if DEFAULT_FILE.exists() else AgentSettings()
