"""What `verify` says: one line for each check, and what became of the evidence."""

from enum import StrEnum
from typing import NamedTuple


class Finding(StrEnum):
    """What a check found."""

    HOLDS = "holds"
    NOTED = "noted"
    """to be known, and nothing that speaks against the bundle"""
    UNCOVERED = "uncovered"
    """the collector's word, which this bundle cannot show"""
    ALTERED = "altered"
    INSERTED = "inserted"
    MISSING = "missing"
    REORDERED = "reordered"
    DIFFERS = "differs"
    """what the evidence gives is not what the bundle says"""

    @property
    def good(self) -> bool:
        """It speaks for the bundle, or not against it."""
        return self in (Finding.HOLDS, Finding.NOTED, Finding.UNCOVERED)


class Line(NamedTuple):
    """The result of one check."""

    check: str
    """Which, in a word or two."""
    finding: Finding
    text: str
    """What was found, naming member, agent, epoch and number."""


class Lines:
    """All lines, in the order of the checks."""

    def __init__(self) -> None:
        self.all: list[Line] = []

    def say(self, check: str, finding: Finding, text: str) -> None:
        """Add a line."""
        self.all.append(Line(check, finding, text))

    def fail(self, check: str, finding: Finding, text: str) -> None:
        """Add a line that speaks against the bundle."""
        assert not finding.good
        self.say(check, finding, text)

    def unless_failed(self, check: str, text: str) -> None:
        """Say that the check holds, where nothing of it was found otherwise."""
        if all(one.finding.good for one in self.all if one.check == check):
            self.say(check, Finding.HOLDS, text)

    @property
    def uncovered(self) -> list[Line]:
        """What nobody computed."""
        return [one for one in self.all if one.finding is Finding.UNCOVERED]

    @property
    def good(self) -> bool:
        """Nothing speaks against the bundle."""
        return all(one.finding.good for one in self.all)
