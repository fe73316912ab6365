"""Who measures what, and whom the reflector answers."""

from pathlib import Path

import pytest

from collector import identity as keys
from collector.fleet import Fleet
from collector.inventory import Inventory, Link, Node, NodeKind, ReflectorAddress
from collector.ledger.sqlite import SqliteLedger
from collector.roster import Roster
from collector.sessions import DropReason, SessionTable
from collector.settings import LimitSettings
from runtime.clock import SECOND
from tests.collector.kit import Box
from wire import stamp
from wire.errors import WireError
from wire.token import stamp_key

NODES = tuple(Node(id=k, name=k, kind=NodeKind.DESA, district="K") for k in ("n1", "n2"))


def link(name: str, node: str = "n1") -> Link:
    return Link(id=name, node=node, provider="P", medium="M", pop="X")


class Hub:
    def __init__(self, folder: Path) -> None:
        self.ledger = SqliteLedger(folder / "ledger.db")
        self.roster = Roster(self.ledger, LimitSettings())
        self.table = SessionTable()
        self.identity = keys.load_or_make(folder)
        self.address = ReflectorAddress("192.0.2.1", 862, True)
        self.fleet = Fleet(
            self.ledger, self.roster, self.table, self.identity, lambda: self.address
        )

    def enrol(self, box: Box, at: int = 1) -> None:
        self.ledger.add_token(box.token)
        agent = box.agent._replace(enrolled_wall_ns=at)
        self.ledger.enrol(box.token.token_id, agent)
        self.roster.refresh()
        self.fleet.register()

    def load(self, *links: Link) -> None:
        self.fleet.load(Inventory(NODES, links))

    def hears(self, box: Box, ssid: int) -> bool:
        """Whether the reflector answers a packet that this box signs for the session."""
        key = stamp_key(box.exchange, self.identity.exchange_key, box.agent_id)
        packet = stamp.pack_sender(stamp.SenderPacket(0, 1, 0x9282, ssid), key)
        return not isinstance(self.table.hear(packet, ("192.0.2.9", 4000), SECOND), DropReason)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def test_a_link_is_answered_from_its_nodes_enrolment_on(hub: Hub) -> None:
    hub.load(link("l1"))
    box = Box()
    assert not hub.hears(box, 1)
    hub.enrol(box)
    assert hub.hears(box, 1)
    assert not hub.hears(Box(2), 1)


def test_the_newest_box_of_a_node_owns_its_links_until_it_is_revoked(hub: Hub) -> None:
    hub.load(link("l1"))
    old, new = Box(1), Box(2)
    hub.enrol(new, at=2)
    hub.enrol(old, at=1)
    assert (hub.hears(old, 1), hub.hears(new, 1)) == (False, True)
    hub.ledger.revoke(new.agent_id, 3)
    hub.roster.refresh()
    hub.fleet.register()
    assert (hub.hears(old, 1), hub.hears(new, 1)) == (True, False)


def test_a_link_that_is_taken_away_is_not_answered_and_keeps_its_session_id(hub: Hub) -> None:
    hub.load(link("l1"), link("l2"))
    box = Box()
    hub.enrol(box)
    hub.load(link("l2"))
    assert (hub.hears(box, 1), hub.hears(box, 2)) == (False, True)
    hub.load(link("l3"), link("l1"), link("l2"))
    assert hub.fleet.ssids == {"l3": 3, "l1": 1, "l2": 2}
    assert hub.hears(box, 1)


def test_what_was_heard_of_a_link_that_stays_survives_a_reload(hub: Hub) -> None:
    hub.load(link("l1"))
    box = Box()
    hub.enrol(box)
    assert hub.hears(box, 1)
    hub.load(link("l1"), link("l2"))
    view = hub.table.view(1)
    assert view is not None and view.packets_received == 1


def test_scope_and_policy_follow_the_inventory(hub: Hub) -> None:
    hub.load(link("l1"), link("l2", "n2"))
    box = Box()
    scope = hub.fleet.scope(box.agent)
    assert scope.check("l1")
    with pytest.raises(WireError):
        scope.check("l2")
    policy, digest = hub.fleet.policy("n1")
    assert [target.link for target in policy.targets] == ["l1"]
    hub.load(link("l1"), link("l2"))
    assert hub.fleet.scope(box.agent).check("l2")
    changed, other = hub.fleet.policy("n1")
    assert [target.link for target in changed.targets] == ["l1", "l2"]
    assert digest != other == changed.digest()


def test_a_node_that_no_file_names_has_an_empty_policy(hub: Hub) -> None:
    hub.load()
    assert hub.fleet.policy("gone")[0].targets == ()
