"""What whoever verifies was given besides the bundle."""

from typing import NamedTuple


class Given(NamedTuple):
    """An audit document as it was issued, in JSON."""

    name: str
    """Of its file."""
    data: bytes
