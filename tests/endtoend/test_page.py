"""Thirty seconds from the first lost packet to the page, through everything that is shipped.

An access link of one PoP is cut, and another PoP dies by and by: first one link, after six seconds
all of it. A third link is cut within an announced window. The agents have their default settings,
Prometheus and Alertmanager the shipped files; what waits after the end of something
(`keep_firing_for`, `group_interval`) is shorter, so that the end is seen too.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.endtoend.district import District, Place, district
from tests.endtoend.noc import ALERTMANAGER, Budget, Message, Noc, first_lost_s, noc

pytestmark = [
    pytest.mark.lab,
    pytest.mark.prometheus,
    pytest.mark.alertmanager,
    pytest.mark.timeout(420),
]
PLACES = tuple(
    Place(name=f"{pop[0]}{k}", pop=pop) for pop in ("utara", "selatan") for k in (1, 2, 3)
)
LINK = ("PantauLinkDown", "u1-fo")
POP = ("PantauPopDown", "selatan")
PROMISED_S = 30.0
WIB = timezone(timedelta(hours=7))
DYING_S = 6.0
"""From the PoP's first link to all of it: its links are known to be down before it is."""


class Night:
    """What was done, and what came of it."""

    def __init__(self, stage: District, at: Noc) -> None:
        self.stage, self.at = stage, at
        self.mended_s = 0.0
        self.firing: dict[tuple[str, str], Message] = {}
        self.budgets: dict[tuple[str, str], Budget] = {}
        self.suppressed: dict[tuple[str, str], str] = {}
        """Alerts that were not sent, and by what, when the pages had come."""

    def pass_by(self) -> None:
        """Cut, wait for the pages, mend, wait for their ends."""
        stage, at, net = self.stage, self.at, self.stage.net
        south = net.pops["selatan"]
        self._announce("u2-fo")
        first = net.sites["u1"].link, net.sites["s1"].link, net.sites["u2"].link
        rest = south.core, south.anchor, stage.mirrors["selatan"]
        cut_s = min(line.down().real_ns / 1e9 for line in first)
        time.sleep(DYING_S)
        for line in rest:
            line.down()
        stage.wait_for("both pages", 90, lambda: {LINK, POP} <= self._told("firing"), every_s=0.2)
        self.suppressed = at.suppressed()
        for line in (*first, *rest):
            self.mended_s = line.up().real_ns / 1e9
        stage.wait_for("both ends", 120, lambda: {LINK, POP} <= self._told("resolved"))
        self.firing = {one.what[0]: one for one in at.messages() if one.status == "firing"}
        packets = net.lab.packets()
        for what, links, series in (
            (LINK, {"u1"}, at.series_of("pantau_link_outage_start", "u1-fo", "down")),
            (POP, {"s1", "selatan-core"}, at.series_of("pantau_pop_event", "selatan")),
        ):
            lost_s = first_lost_s(packets, links, cut_s)
            self.budgets[what] = at.budget(lost_s, series, self.firing[what])
            print(f"{what[0]} {what[1]}: {self.budgets[what]}")

    def _announce(self, link: str) -> None:
        """Works on a link, from now on, announced in time and approved."""
        now = datetime.now(WIB)
        times = (now + timedelta(seconds=1), now + timedelta(hours=1), now - timedelta(hours=2))
        start, end, told = (f"{one:%Y-%m-%d %H:%M:%S}" for one in times)
        self.stage.ask(
            *("maintenance", "add", "--link", link, "--from", start, "--to", end),
            *("--announced", told, "--approved-by", "Diskominfo", "--reason", "ganti router"),
        )
        self.stage.wait_for("a silence", 60, lambda: self.at.silences("active") == 1)

    def _told(self, status: str) -> set[tuple[str, str]]:
        return {what for one in self.at.messages() if one.status == status for what in one.what}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("page")
    with district(folder, PLACES, agent={}) as stage:
        began = str((datetime.now(UTC) - timedelta(days=2)).date())
        stage.write(began, alertmanager={"url": ALERTMANAGER, "every_s": 2})
        stage.start()
        with noc(stage, folder / "desk", brisk=True) as at:
            stage.wait_for("Prometheus sees all", 60, lambda: at.sees(len(PLACES)))
            one = Night(stage, at)
            one.pass_by()
            yield one


def test_each_cut_is_one_page_within_30_s_and_nothing_else_pages(night: Night) -> None:
    told = [(one.receiver, one.status, one.what) for one in night.at.messages()]
    assert sorted(told) == [
        ("night", "firing", [LINK]),
        ("night", "firing", [POP]),
        ("night", "resolved", [LINK]),
        ("night", "resolved", [POP]),
    ]
    for what, budget in night.budgets.items():
        assert 5 < budget.total < PROMISED_S, f"{what}: {budget}"


def test_the_page_says_what_where_and_what_to_do(night: Night) -> None:
    (link,) = night.firing[LINK].alerts
    assert link["annotations"]["summary"].startswith("Link u1-fo putus / ")
    description = link["annotations"]["description"]
    assert description.startswith("Desa u1, Penyedia A, utara: paket hilang sejak ")
    assert "(outside_loss)" in description
    (pop,) = night.firing[POP].alerts
    assert pop["annotations"]["summary"].startswith(
        "PoP selatan (Penyedia A): 3 link hilang sekaligus / "
    )
    for one in (link, pop):
        base, _, page = one["annotations"]["runbook_url"].partition("/runbooks/")
        assert base == "http://hub.example:8460", "the shipped settings say HERE"
        assert page == one["labels"]["alertname"]
        guide = night.stage.fetch(f"/runbooks/{page}")
        assert guide is not None and "<h1" in guide


def test_what_a_pop_and_a_window_explain_is_known_and_not_sent(night: Night) -> None:
    links = [f"s{k}-fo" for k in (1, 2, 3)]
    assert night.suppressed == {
        **{("PantauLinkDown", link): "inhibited" for link in links},
        ("PantauLinkDown", "u2-fo"): "silenced",
    }


def test_the_end_is_told_after_the_link_is_back(night: Night) -> None:
    for one in night.at.messages():
        if one.status == "resolved":
            assert one.at_s > night.mended_s
            assert all(alert["endsAt"] > alert["startsAt"] for alert in one.alerts)
