"""A district's bad two minutes: every outage is found, none invented, every cause right."""

from collections import Counter

import pytest

from tests.agent.snmp_kit import needs_snmpd
from tests.endtoend.faults import PLACES
from tests.endtoend.story import Story, staged, tell
from tests.endtoend.verdicts import EDGE_S, table, unsaid

pytestmark = [pytest.mark.lab, pytest.mark.timeout(660), needs_snmpd]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    with staged(tmp_path_factory.mktemp("district")) as stage:
        return tell(stage)


def test_what_is_said_is_what_was_done(story: Story) -> None:
    rows = story.rows()
    assert not unsaid(rows), f"\n{table(rows, story.began_s)}"


def test_the_month_charges_the_seconds_that_were_the_providers(story: Story) -> None:
    true_s: Counter[str] = Counter()
    off_s: Counter[str] = Counter()
    for one in story.truths:
        if one.charge == "provider":
            true_s[one.link] += one.end_s - one.start_s
            off_s[one.link] += 2 * EDGE_S + one.start_slack_s + one.end_slack_s
    down_s: Counter[str] = Counter()
    for row in story.availability:
        parts = (row["up_s"], row["down_s"], row["unknown_s"], row["excluded_s"])
        assert sum(parts) == row["period_s"]
        down_s[row["link"]] += row["down_s"]
    for place in PLACES:
        link = place.link
        assert down_s[link] == pytest.approx(true_s[link], abs=off_s[link]), link


def test_the_hub_says_at_once_that_a_link_is_gone(story: Story) -> None:
    """20 s into one cut and 12 s into another, before any evidence of them could arrive."""
    for link, outages in story.early.items():
        (lasting,) = [one for one in outages if one["start_s"] > story.began_s]
        true_s = min(one.start_s for one in story.truths if one.link == link)
        assert lasting["end_s"] is None and not lasting["settled"]
        assert lasting["start_low_s"] - EDGE_S <= true_s <= lasting["start_high_s"] + EDGE_S


def test_the_pages_say_what_the_commands_say(story: Story) -> None:
    paged = {one["id"]: one for page in story.pages.values() for one in page}
    for one in story.outages:
        assert paged[one["id"]] == one
