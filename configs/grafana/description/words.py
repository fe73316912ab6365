"""The languages of the dashboards: every text is given in both where it is used."""

from collections.abc import Callable
from enum import StrEnum

Say = Callable[[str, str], str]
"""Of a text in Indonesian and in English, the one to show."""


class Language(StrEnum):
    """One set of dashboards each."""

    ID = "id"
    EN = "en"

    def say(self, indonesian: str, english: str) -> str:
        """The text in this language."""
        return indonesian if self is Language.ID else english

    @property
    def suffix(self) -> str:
        """What tells this set's identifiers from those of the Indonesian one."""
        return "" if self is Language.ID else f"-{self}"
