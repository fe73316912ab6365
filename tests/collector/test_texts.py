"""What the pages say: nothing is missing in either language, whatever a member of a closed set."""

import re
from enum import StrEnum
from pathlib import Path
from string import Formatter

import pytest

from collector.access.roles import Role
from collector.access.store import Deed
from collector.audit.availability import Judgement
from collector.audit.calendar import Zone
from collector.audit.daily import Direction
from collector.audit.findings import Finding
from collector.audit.phrases import Language
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.inventory import NodeKind, Reach
from collector.live import LinkState, Reason
from collector.maintenance import Kind
from collector.web.render import Texts, as_script
from collector.web.texts import TEXTS
from wire.instant import ClockClass
from wire.message import End, OrderState

WEB = Path(__file__).parents[2] / "collector" / "web"
SETS: dict[str, type[StrEnum]] = {
    "role": Role,
    "deed": Deed,
    "judgement": Judgement,
    "direction": Direction,
    "finding": Finding,
    "cause": Cause,
    "charge": Charge,
    "witness": EvidenceClass,
    "kind": NodeKind,
    "reach": Reach,
    "reason": Reason,
    "maintenance": Kind,
    "fleet.clock": ClockClass,
    "end": End,
    "order": OrderState,
}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("prefix", SETS)
def test_every_member_of_a_closed_set_has_its_words(prefix: str) -> None:
    assert {f"{prefix}.{one}" for one in SETS[prefix]} <= set(TEXTS)


def test_both_kinds_of_states_have_their_words() -> None:
    assert {f"state.{one}" for one in (*State, *LinkState)} <= set(TEXTS)


def test_every_text_is_told_in_both_languages_with_the_same_places() -> None:
    for key, (english, indonesian) in TEXTS.items():
        assert english.strip() and indonesian.strip(), key
        assert places(english) == places(indonesian), key
        assert re.fullmatch(r"[a-z_]+(\.[A-Za-z0-9_]+)*", key), key


def test_templates_and_scripts_ask_for_texts_that_there_are() -> None:
    asked = set()
    for file in (WEB / "templates").glob("*.html"):
        asked |= set(re.findall(r"\bt\('([a-z_.]+)'[,)]", file.read_text()))
    for file in (WEB / "static").glob("*.js"):
        asked |= set(re.findall(r"\bt\(\"([a-z_.]+)\"\)", file.read_text()))
    assert len(asked) > 100
    assert asked - set(TEXTS) == set()


@pytest.mark.parametrize(
    ("seconds", "english", "indonesian"),
    [
        (0, "0 s", "0 dtk"),
        (59.6, "1 min", "1 mnt"),
        (3_725, "1 h 02 min", "1 jam 02 mnt"),
        (86_400, "1 d", "1 hr"),
        (-90, "\N{MINUS SIGN}1 min 30 s", "\N{MINUS SIGN}1 mnt 30 dtk"),
        (None, "\N{EN DASH}", "\N{EN DASH}"),
    ],
)
def test_lengths_of_time(seconds: float | None, english: str, indonesian: str) -> None:
    assert Texts(Language.EN).length(seconds) == english
    assert Texts(Language.ID).length(seconds) == indonesian


def test_numbers_and_moments_in_local_form() -> None:
    english, indonesian = Texts(Language.EN), Texts(Language.ID)
    assert (english.number(1234.5, 2), indonesian.number(1234.5, 2)) == ("1,234.50", "1.234,50")
    assert (english.share(0.99947, 3), indonesian.share(0.99947, 3)) == ("99.947 %", "99,947 %")
    assert indonesian.share(None) == "\N{EN DASH}"
    assert indonesian.megabits(18_640_000) == "18,64 Mbit/s"
    assert indonesian.moment(1_790_000_000, Zone.WIT) == "21 Sep 2026 23:13:20 WIT"
    assert indonesian.month(2026, 8) == "Agustus 2026"


def test_data_for_a_script_cannot_end_its_element() -> None:
    told = as_script({"name": "</script><!--<script>&\u2028"})
    assert not set("<>&\u2028") & set(told)
