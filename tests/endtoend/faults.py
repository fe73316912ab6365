"""The district's bad two minutes: what is done, when, and what has to be said of it.

Each fault has a site of its own, so that they go on side by side. No three sites of a PoP lose
their links within a minute, except where the PoP itself is cut: that is how the two are told
apart (methodology 2.3, A6).
"""

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from runtime.lab.link import UP
from runtime.lab.truth import Cut, Packet
from runtime.lab.truth import Truth as Log
from tests.endtoend.disk import Disk
from tests.endtoend.district import MIRROR, SOUGHT_S, STAMP_PORT, District, Place
from tests.endtoend.verdicts import Truth
from tests.endtoend.wrongclock import WrongClock

NS = 1_000_000_000
_ICMP = 1
CALM_S = 12.0
"""Undisturbed before the first fault."""
AFTER_S = 10.0
"""And after the last."""
LEAST_S = 10.0
"""A shorter cut is no outage."""

PLACES = (
    Place(name="u1", pop="utara", snmp=True),
    Place(name="u2", pop="utara"),
    Place(name="u3", pop="utara"),
    Place(name="s1", pop="selatan"),
    Place(name="s2", pop="selatan"),
    Place(name="s3", pop="selatan"),
    Place(name="t1", pop="timur", snmp=True),
    Place(name="t2", pop="timur", mains=True),
    Place(name="t3", pop="timur", snmp=True, outside=False),
    Place(name="t4", pop="timur", snmp=True, outside=False),
    Place(name="t5", pop="timur", outside=False),
    Place(name="b1", pop="barat", snmp=True),
    Place(name="b2", pop="barat", snmp=True),
    Place(name="b3", pop="barat"),
    Place(name="b4", pop="barat"),
)


class Said(NamedTuple):
    """What has to be said of a kind of fault."""

    state: str
    causes: frozenset[str]
    charge: str


def _said(state: str, causes: str, charge: str) -> Said:
    return Said(state, frozenset(causes.split()), charge)


SAID = {
    "cut": _said("down", "access_link", "provider"),
    "pop-cut": _said("down", "provider_core", "provider"),
    "works": _said("down", "maintenance", "excluded"),
    "lan": _said("down", "lan", "provider"),
    "cpe": _said("down", "cpe_restart", "provider"),
    "power": _said("unknown", "site_power", "excluded"),
    "mains": _said("unknown", "site_power", "excluded"),
    "box": _said("unknown", "agent_power", "unknown"),
    "crash": _said("unknown", "agent_crash", "unknown"),
    "upstream": _said("down", "upstream", "provider"),
}
"""Contracts of the district: the CPE is the provider's, site power is excluded where proved, the
Internet is included."""
TO_BOOT = ("power", "mains")
"""The site had no power until its box booted."""
TO_AGENT = ("box", "crash")
"""Nobody was there to measure, until the agent began."""
SAVED_S = 0.25
"""A second's first answer is on disk so long after its packet was sent, and the second dies with
the box until then: the round trip, a write that is under way and its own, on a quick disk. What
the disk took then comes to it (`tests.endtoend.disk`)."""
SOUGHT = {"lan": SOUGHT_S, "cpe": SOUGHT_S}
"""The way is back for the box when its kernel has found the router's hardware address again."""
UNSAID = ("used", "route", "1970", "anchor", "hub")
"""Faults of which nothing may be left in the list. The link was up all the while, and the CPE's
counters show it, or the hub's prober, or the other end of the measurement does."""


class Span(NamedTuple):
    """What was done to whom, between two marks; UTC seconds."""

    word: str
    where: str
    start_s: float
    end_s: float


Action = tuple[float, Callable[[], None]]


class Faults:
    """The script, for one district."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.early: dict[str, list[dict[str, Any]]] = {}
        """What was said of some links while they were down."""
        self._actions: list[Action] = []
        self._disk = Disk(district.folder)

    def play(self) -> tuple[float, float]:
        """Do it all; the UTC seconds between which it was done, calm included."""
        self._write()
        self._disk.start()
        # The part of a second at which things happen decides what is seen of them.
        began_s, zero = time.time(), time.monotonic() + CALM_S + random.random()
        for at, action in sorted(self._actions, key=lambda one: one[0]):
            time.sleep(max(0.0, zero + at - time.monotonic()))
            action()
        time.sleep(AFTER_S)
        self._disk.stop()
        return began_s, time.time()

    def _write(self) -> None:
        self._links()
        self._boxes()
        self._devices()
        self._far_ends()

    def _links(self) -> None:
        self.cut("u1", 4, 25)
        self.at(24, lambda: self._look("u1-fo", "s1-fo"))
        for start in (10, 37, 64):
            self.cut("u3", start, 12.5)
        self.cut("u2", 86, 7.5)
        self.works("t5", 84, 12.5)
        # While the collector is dead: only the anchor tells of it.
        self.cut("u1", 106, 15)

    def _boxes(self) -> None:
        district, boxes = self.district, self.district.boxes
        self.span("used", "t3", 2, 34, boxes["t3"].kill, boxes["t3"].boot)
        self.at(3, lambda: district.use("t3", 1500))
        # Boxes die at other parts of a second than links, and than each other.
        self.span("box", "t4", 50.3, 80, boxes["t4"].kill, boxes["t4"].boot)
        self.span("crash", "t5", 36.6, 62, boxes["t5"].kill, boxes["t5"].start)
        self.span("power", "t1", 6.5, 34, lambda: self.dark("t1"), lambda: self.lit("t1"))
        self.at(46, lambda: district.mains("t2", on=False))
        self.span("mains", "t2", 50.9, 78, lambda: self.dark("t2"), lambda: self.lit("t2"))
        clock = WrongClock(district.folder / "b3")
        self.span("1970", "b3", 14, 32, boxes["b3"].kill, lambda: boxes["b3"].boot(clock))
        self.at(31, lambda: clock.begin_at(10))
        self.cut("b3", 27, 31)
        self.at(61, clock.right)

    def _devices(self) -> None:
        district = self.district
        self.span("lan", "b1", 8, 28,
                  lambda: district.unplug_lan("b1"), lambda: district.plug_lan("b1"))  # fmt: skip
        self.span("cpe", "b2", 38, 58,
                  lambda: district.router_dead("b2", dead=True),
                  lambda: district.router_dead("b2", dead=False))  # fmt: skip
        b4 = district.site("b4")
        self.span("route", "b4", 64, 80,
                  lambda: b4.node.ip("route del default"),
                  lambda: b4.node.ip(f"route add default via {b4.cpe_address}"))  # fmt: skip

    def _far_ends(self) -> None:
        district, pops = self.district, self.district.net.pops
        south, mirror = pops["selatan"], district.mirrors["selatan"]
        self.at(12, lambda: _ignore(south.core.down(), south.anchor.down(), mirror.down()))
        self.at(32, lambda: _ignore(south.core.up(), south.anchor.up(), mirror.up()))
        self.span("upstream", "selatan", 62, 82,
                  lambda: _ignore(south.anchor.down(), mirror.down()),
                  lambda: _ignore(south.anchor.up(), mirror.up()))  # fmt: skip
        self.span("anchor", "all", 20, 40,
                  lambda: _ignore(*(pop.anchor.down() for pop in pops.values())),
                  lambda: _ignore(*(pop.anchor.up() for pop in pops.values())))  # fmt: skip
        self.span("hub", "all", 98, 128, district.kill_collector, district.start_collector)

    # --- words of the script --------------------------------------------------------------

    def at(self, second: float, action: Callable[[], object]) -> None:
        """Do this so many seconds after the calm."""
        self._actions.append((second, lambda: _ignore(action())))

    def cut(self, name: str, second: float, length_s: float) -> None:
        """The access link is silently dead."""
        self.at(second, self.district.site(name).link.down)
        self.at(second + length_s, self.district.site(name).link.up)

    def span(
        self,
        word: str,
        where: str,
        start: float,
        end: float,
        begin: Callable[[], object],
        finish: Callable[[], object],
    ) -> None:
        """Something that is told to the truth log by marks, just after it was done."""
        mark = self.district.mark
        self.at(start, lambda: _ignore(begin(), mark("begin", word, where)))
        self.at(end, lambda: _ignore(finish(), mark("end", word, where)))

    def dark(self, name: str) -> None:
        """No power at the site."""
        self.district.site(name).power_off()

    def lit(self, name: str) -> None:
        """Power is back: box and CPE boot."""
        self.district.site(name).power_on()
        if name in self.district.cpes:
            self.district.cpes[name].run()
        if name == "t2":
            self.district.mains(name, on=True)
        self.district.boxes[name].boot()

    def works(self, name: str, second: float, length_s: float) -> None:
        """Announced, approved maintenance; the link is cut within it."""
        self.at(second - 12, lambda: self._announce(name, length_s))
        self.span("works", name, second, second + length_s,
                  self.district.site(name).link.down, self.district.site(name).link.up)  # fmt: skip

    def _look(self, *links: str) -> None:
        for link in links:
            self.early[link] = self.district.page(f"/api/v1/links/{link}/outages")

    def _announce(self, name: str, length_s: float) -> None:
        now_s = int(time.time())
        wib = timezone(timedelta(hours=7))
        start, end, told = (
            f"{datetime.fromtimestamp(now_s + offset, wib):%Y-%m-%d %H:%M:%S}"
            for offset in (2, 30 + int(length_s), -7200)
        )
        self.district.ask(
            *("maintenance", "add", "--link", self.district.places[name].link),
            *("--from", start, "--to", end, "--announced", told),
            *("--approved-by", "Diskominfo", "--reason", "pemeliharaan"),
        )

    # --- what it was ----------------------------------------------------------------------

    def truths(self) -> list[Truth]:
        """What had to be found, by the emulator's log."""
        lab = self.district.net.lab
        log, packets = lab.truth(), lab.packets()
        spans = list(_spans(log))
        worked = {where for word, where, _, _ in spans if word == "works"}
        truths = []
        for name in self.district.places:
            cuts = [] if name in worked else log.cuts(name, UP)
            truths += [_truth("cut", name, cut) for cut in cuts if _length_s(cut) >= LEAST_S]
            for cut in log.cuts(f"{self.district.places[name].pop}-core", UP):
                truths.append(_truth("pop-cut", name, cut, event=f"pop-cut {cut.start.real_ns}"))
        for word, where, start_s, end_s in spans:
            if word in UNSAID:
                continue
            names = [where] if where in self.district.places else self._of_pop(where)
            for name in names:
                truths.append(self._spanned(word, name, (start_s, end_s)))
        return sorted(self._seen(truths, spans, packets), key=lambda one: (one.link, one.start_s))

    def _seen(
        self, truths: list[Truth], spans: list[Span], packets: list[Packet]
    ) -> Iterator[Truth]:
        """A cut that began while the box was away begins when the box is there to see it."""
        for one in truths:
            for word, name, away_s, back_s in spans:
                if word == "1970" and f"{name}-fo" == one.link and away_s < one.start_s < back_s:
                    seen_s = self._next_probe_s(name, back_s, packets)
                    one = one._replace(start_s=seen_s)
            yield one

    def _next_probe_s(self, name: str, at_s: float, packets: list[Packet]) -> float:
        """When the box next asked the hub or an anchor, which is what seconds are known by."""
        net = self.district.net
        beyond = (net.hub_address, net.anchor_address, MIRROR)
        ways = (name, "up")
        sent = (
            one.in_ns / NS for one in packets if (one.link, one.dir) == ways and _asks(one, beyond)
        )
        return min((at for at in sent if at >= at_s), default=at_s)

    def _of_pop(self, pop: str) -> list[str]:
        return [place.name for place in self.district.places.values() if place.pop == pop]

    def _spanned(self, word: str, name: str, span: tuple[float, float]) -> Truth:
        start_s, end_s = span
        dies = word in TO_BOOT + TO_AGENT
        saved_s = SAVED_S + self._disk.commit_s(start_s) if dies else 0.0
        if word in TO_BOOT:
            end_s = self.district.boxes[name].booted_s or end_s
        elif word in TO_AGENT:
            end_s = self.district.boxes[name].began_s()
        said = SAID[word]
        return Truth(f"{name}-fo", start_s, end_s, word, *said, saved_s, SOUGHT.get(word, 0.0))


def _spans(log: Log) -> Iterator[Span]:
    """Every pair of marks."""
    open_: dict[tuple[str, str], float] = {}
    for mark in log.marks:
        edge, word, where = mark.word.split(".")
        at_s = mark.at.real_ns / NS
        if edge == "begin":
            open_[word, where] = at_s
        else:
            yield Span(word, where, open_.pop((word, where)), at_s)


def _truth(word: str, name: str, cut: Cut, event: str | None = None) -> Truth:
    assert cut.end is not None
    start_s, end_s = cut.start.real_ns / NS, cut.end.real_ns / NS
    return Truth(f"{name}-fo", start_s, end_s, word, *SAID[word], event=event)


def _length_s(cut: Cut) -> float:
    assert cut.end is not None
    return (cut.end.real_ns - cut.start.real_ns) / NS


def _asks(packet: Packet, beyond: tuple[str, ...]) -> bool:
    """STAMP or ICMP; the box speaks to the hub by TCP as well."""
    return packet.dst in beyond and (packet.protocol == _ICMP or packet.dport == STAMP_PORT)


def _ignore(*_: object) -> None:
    return None
