"""Roles of accounts, and what each may do. Pure."""

from enum import StrEnum
from typing import NamedTuple


class Right(StrEnum):
    """What a page or an action asks for."""

    READ = "read"
    """links, outages, verdicts, metrics"""
    LOG = "log"
    """the log of actions: who did what"""
    OPERATE = "operate"
    """maintenance windows, tests, invitations, reload"""


class Role(StrEnum):
    """Of an account."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    """sees everything and changes nothing, so that who audits has not operated"""

    def may(self, right: Right) -> bool:
        """Whether the role includes this right."""
        return right in _RIGHTS[self]


_RIGHTS = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OPERATOR: frozenset({Right.READ, Right.LOG, Right.OPERATE}),
    Role.AUDITOR: frozenset({Right.READ, Right.LOG}),
}


class Way(StrEnum):
    """How somebody has shown who they are."""

    VISIT = "visit"
    """a browser that has logged in"""
    BASIC = "basic"
    BEARER = "bearer"
    CERTIFICATE = "certificate"
    OPERATOR_TOKEN = "operator_token"
    """the collector's own, a file that only its user can read"""
    LOOPBACK = "loopback"
    """this machine itself, as long as there is no account"""


class Asker(NamedTuple):
    """Who asks."""

    name: str
    role: Role
    way: Way
    csrf: str = ""
    """Of a visit: what each of its forms has to hold."""
    visit: bytes = b""
    """Of a visit: the digest of its cookie."""

    def may(self, right: Right) -> bool:
        """Whether they may do what needs this right."""
        return self.role.may(right)
