"""Golden bytes: compared with the files, or written anew by PANTAU_WRITE_GOLDEN=1."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden" / "wire-v1"


@pytest.fixture
def golden() -> Callable[[str, bytes], bytes]:
    """Asserts that `data` is what the file of this name holds; returns what the file holds."""

    def same(name: str, data: bytes) -> bytes:
        file = GOLDEN / name
        if os.environ.get("PANTAU_WRITE_GOLDEN"):
            file.write_bytes(data)
        kept = file.read_bytes()
        assert data == kept, f"{name} changed: a wire format is for ever, make a new version"
        return kept

    return same


@pytest.fixture
def golden_bytes() -> Callable[[str], bytes]:
    """What the file of this name holds."""
    return lambda name: (GOLDEN / name).read_bytes()
