"""Unit files, as far as tests have to understand them."""

import re
from collections import defaultdict
from pathlib import Path

FOLDERS = tuple(
    map(Path, ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system"))
)
_UNITS = {"": 1, "s": 1, "min": 60, "h": 3600}

Unit = dict[str, list[str]]


def parse(text: str, unit: Unit | None = None) -> Unit:
    """All values by key, in order; an empty one forgets those before it. The sections' keys do not
    clash in what we use. Raises ValueError."""
    unit = defaultdict(list) if unit is None else unit
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip()[0] in "#;" or re.fullmatch(r"\[\w+\]", line.strip()):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip().isalnum():
            raise ValueError(f"line {number}: {line!r}")
        if value.strip():
            unit[key.strip()].append(value.strip())
        else:
            unit[key.strip()] = []
    return unit


def find(name: str) -> Unit:
    """The unit of this name with its drop-ins. Raises FileNotFoundError."""
    full = name if "." in name else f"{name}.service"
    file = next((folder / full for folder in FOLDERS if (folder / full).exists()), None)
    if file is None:
        raise FileNotFoundError(f"Unit {full} not found.")
    unit = parse(file.read_text())
    for folder in FOLDERS:
        for one in sorted((folder / f"{full}.d").glob("*.conf")):
            parse(one.read_text(), unit)
    return unit


def last(unit: Unit, key: str, default: str = "") -> str:
    """The value that holds."""
    return unit[key][-1] if unit.get(key) else default


def seconds(text: str) -> float:
    """Of a time span of one number. Raises ValueError."""
    match = re.fullmatch(r"(\d+)(s|min|h|)", text)
    if match is None:
        raise ValueError(f"time span {text!r}")
    return float(match[1]) * _UNITS[match[2]]
