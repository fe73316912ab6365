"""Every row of the decision table and every vector of methodology 2.4."""

import pytest

from collector.audit.correlation import Context, EventKind, correlate
from collector.audit.evidence import MainsSample, Span, Window
from collector.audit.rules import Party, PowerProof, Terms
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Seen
from collector.audit.why import sentence
from tests.collector.audit.scene import (
    ACCESS,
    LOST,
    NONE,
    OK,
    SILENT,
    TEN,
    UNSENT,
    Piece,
    Scene,
    cpe,
    down,
    life,
    shows,
    silent,
    up,
)

GONE_S = 42 * 60 + 10
BOOT_S = TEN + 41 * 60 + 35
BEFORE = life(TEN - 90_000, TEN)
ANEW = life(TEN + GONE_S, TEN + 9_000, "B", BOOT_S)


def power(**changes: object) -> Scene:
    """V2.1: last heartbeat 10:00:00, first record 10:42:10 of another boot with uptime 35 s."""
    scene = Scene(
        up(600),
        silent(GONE_S),
        up(600),
        lives=(BEFORE, ANEW),
        device=(cpe(TEN - 20, 900_000), cpe(TEN + 43 * 60, 80)),
    )
    return scene.with_(**changes)


def told(scene: Scene, terms: Terms | None = None, context: Context | None = None):
    return [
        (one.start_s - TEN, one.end_s - TEN, one.state, one.cause, one.charge)
        for one in scene.judged(terms, context)
    ]


def test_v2_1_site_power_from_the_last_record_to_the_boot_and_the_agents_start_apart() -> None:
    found = power().judged()
    assert told(power()) == [
        (0, 2495, State.UNKNOWN, Cause.SITE_POWER, Charge.EXCLUDED),
        (2495, 2530, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN),
    ]
    assert found[0].witnesses == (Seen.JOURNAL, Seen.DEVICE)
    assert "5 s apart" in sentence(found[0].why)


def test_a_short_cut_is_not_judged_by_what_the_cpe_said_before_it() -> None:
    scene = Scene(
        up(600),
        silent(24),
        up(600),
        lives=(BEFORE, ANEW._replace(booted_s=TEN + 15, first_s=TEN + 24)),
        device=(cpe(TEN - 3, 900_000), cpe(TEN + 40, 25)),
    )
    assert next(one[2:4] for one in told(scene)) == (State.UNKNOWN, Cause.SITE_POWER)


@pytest.mark.parametrize(
    ("terms", "charge"),
    [
        (Terms(), Charge.EXCLUDED),
        (Terms(site_power_excluded=False), Charge.UNKNOWN),
        (Terms(site_power_proofs=(PowerProof.MAINS_SENSE,)), Charge.UNKNOWN),
        (Terms(site_power_proofs=(PowerProof.CPE_RESTART,)), Charge.EXCLUDED),
    ],
)
def test_site_power_is_excluded_only_as_the_contract_says(terms: Terms, charge: Charge) -> None:
    first = power().judged(terms)[0]
    assert (first.state, first.cause, first.charge) == (State.UNKNOWN, Cause.SITE_POWER, charge)
    assert ("does not accept" in sentence(first.why)) is (charge is Charge.UNKNOWN)


def test_the_mains_sense_proves_site_power_without_the_cpe() -> None:
    scene = power(device=(), mains=(MainsSample(TEN - 5, False), MainsSample(BOOT_S + 40, True)))
    first = scene.judged()[0]
    assert (first.cause, first.charge) == (Cause.SITE_POWER, Charge.EXCLUDED)
    assert first.witnesses == (Seen.JOURNAL, Seen.MAINS)


@pytest.mark.parametrize("mains", [(), (MainsSample(TEN - 25, False), MainsSample(TEN - 5, True))])
def test_a_boot_alone_proves_no_power_cut(mains: tuple[MainsSample, ...]) -> None:
    assert told(power(device=(), mains=mains)) == [
        (0, GONE_S, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN)
    ]


def test_boots_more_than_120_s_apart_are_not_one_cut() -> None:
    scene = power(device=(cpe(TEN - 20, 900_000), cpe(TEN + 43 * 60, 206)))
    assert told(scene) == [(0, GONE_S, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN)]
    assert told(power(device=(cpe(TEN + 43 * 60, 205),)))[0][3] is Cause.SITE_POWER


def test_v2_2_the_box_alone_lost_power_and_the_counters_say_that_the_link_was_up() -> None:
    readings = (
        cpe(TEN - 20, 897_380, octets=10**9),
        cpe(TEN + 2600, 900_000, octets=1_048 * 10**6),
    )
    found = power(device=readings).judged()
    assert told(power(device=readings)) == [(0, GONE_S, State.UP, Cause.RESOLVED_UP, Charge.NONE)]
    assert "48000000 octets" in sentence(found[0].why)


@pytest.mark.parametrize(
    "after",
    [
        cpe(TEN + 2600, 900_000, octets=10**9 + 3_274_999),
        cpe(TEN + 2600, 900_000, octets=10**9 + 10**8, up=False),
        cpe(TEN + 2600, 900_000, octets=10**9 + 10**8, up=None),
        cpe(TEN + 2600, 900_000, octets=10**9 + 10**8, changed_s=899_000),
        cpe(TEN + 2600, 900_000, octets=10**9 + 10**8, changed_s=None),
        cpe(TEN + 2600, 900_000, octets=10**9 + 10**8, discontinuity_s=899_000),
        cpe(TEN + 2600, 900_000, octets=None),
        cpe(TEN + 2600, 900_000, octets=5),
        cpe(TEN + 2900, 900_000, octets=10**9 + 10**8),
    ],
)
def test_without_one_of_the_conditions_of_a7_it_stays_unknown(after) -> None:
    scene = power(device=(cpe(TEN - 20, 897_380, octets=10**9), after))
    assert told(scene) == [(0, GONE_S, State.UNKNOWN, Cause.AGENT_POWER, Charge.UNKNOWN)]


def test_ten_kilobits_a_second_over_the_time_between_the_readings_are_enough() -> None:
    after = cpe(TEN + 2600, 900_000, octets=10**9 + 3_275_000)
    scene = power(device=(cpe(TEN - 20, 897_380, octets=10**9), after))
    assert scene.judged()[0].cause is Cause.RESOLVED_UP


def fleet(codes: int, count: int, spread_s: int, *, length_s: int = 600, state=State.DOWN, of=0):
    """`count` links of PoP X hit one after the other over `spread_s`; `of` others stay up."""
    hit = [
        Scene(
            up(600 + k * spread_s // max(1, count - 1)),
            Piece(length_s, codes, state),
            up(600),
            link=f"l{k:02}",
        )
        for k in range(count)
    ]
    return hit + [Scene(up(2000), link=f"p{k:02}") for k in range(of)]


def test_v2_3_twelve_of_a_pop_within_4_s_are_twelve_outages_and_one_event() -> None:
    scenes = fleet(ACCESS, 12, 4)
    joined = correlate([scene.seen() for scene in scenes])
    (event,) = joined.events()
    assert (event.kind, event.start_s, len(event.members)) == (EventKind.CORE, TEN, 12)
    for scene in scenes:
        (one,) = scene.judged(context=joined.context(scene.evidence.link))
        assert (one.state, one.cause, one.charge, one.event, one.length_s) == (
            State.DOWN,
            Cause.PROVIDER_CORE,
            Charge.PROVIDER,
            event.name,
            600,
        )
        assert Seen.FLEET in one.witnesses


def test_v2_4_forty_links_lose_the_hub_and_no_anchor_is_no_downtime() -> None:
    away = shows(LOST, OK, OK, OK, OK)
    scenes = fleet(away, 40, 3, state=State.UP)
    joined = correlate([scene.seen() for scene in scenes])
    assert [event.kind for event in joined.events()] == [EventKind.HUB]
    for scene in scenes:
        (one,) = scene.judged(context=joined.context(scene.evidence.link))
        assert (one.state, one.cause, one.charge) == (State.UP, Cause.HUB_OR_ANCHOR, Charge.NONE)
        assert one.event == joined.events()[0].name


def test_where_no_anchor_is_asked_a_hub_lost_by_all_is_unknown_and_no_downtime() -> None:
    scenes = fleet(shows(LOST, NONE, LOST, OK), 5, 3)
    joined = correlate([scene.seen() for scene in scenes])
    assert [event.kind for event in joined.events()] == [EventKind.HUB]
    for scene in scenes:
        found = scene.judged(context=joined.context(scene.evidence.link))
        assert {one.state for one in found} == {State.UNKNOWN}
        assert {one.cause for one in found} == {Cause.HUB_OR_ANCHOR}


def test_v2_5_one_link_of_ten_is_the_access_link() -> None:
    scenes = fleet(ACCESS, 1, 0, of=9)
    joined = correlate([scene.seen() for scene in scenes])
    (one,) = scenes[0].judged(context=joined.context("l00"))
    assert one[:5] == (TEN, TEN + 600, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER)
    assert one.witnesses == (Seen.NODE_PROBES, Seen.NODE_LAN, Seen.HUB_SIDE, Seen.FLEET)
    assert "9 of 9 other links" in sentence(one.why)
    assert joined.events() == ()


def test_v2_6_another_process_of_the_same_boot_is_unknown() -> None:
    again = life(TEN + 600, TEN + 9_000, "A")
    scene = Scene(up(600), silent(600), up(600), lives=(BEFORE, again))
    assert told(scene) == [(0, 600, State.UNKNOWN, Cause.AGENT_CRASH, Charge.UNKNOWN)]


LAN = shows(LOST, LOST, LOST, LOST, OK)
CPE = shows(LOST, LOST, LOST, LOST, LOST)
MINE = Terms(cpe_owner=Party.CUSTOMER)


@pytest.mark.parametrize(
    ("code", "device", "terms", "cause", "charge"),
    [
        (LAN, (), Terms(), Cause.LAN, Charge.PROVIDER),
        (LAN, (), MINE, Cause.LAN, Charge.EXCLUDED),
        (CPE, (cpe(TEN + 640, 600),), Terms(), Cause.CPE_RESTART, Charge.PROVIDER),
        (CPE, (cpe(TEN + 640, 600),), MINE, Cause.CPE_RESTART, Charge.EXCLUDED),
        (CPE, (cpe(TEN + 640, 90_000),), MINE, Cause.LAN, Charge.EXCLUDED),
        (shows(UNSENT, UNSENT, NONE, UNSENT), (), Terms(), Cause.LAN, Charge.UNKNOWN),
        (shows(UNSENT, UNSENT, NONE, UNSENT, OK), (), Terms(), Cause.LAN, Charge.PROVIDER),
        (shows(UNSENT, UNSENT, NONE, LOST, OK), (), Terms(), Cause.LAN, Charge.PROVIDER),
    ],
)
def test_a4_cable_and_cpe_are_their_owners(code, device, terms, cause, charge) -> None:
    scene = Scene(up(600), down(600, code), up(600), device=device)
    assert told(scene, terms) == [(0, 600, State.DOWN, cause, charge)]


def test_no_way_out_with_the_cpe_there_is_the_link_if_the_hub_lost_the_cpe_too() -> None:
    cut = Scene(up(600), down(600, shows(UNSENT, UNSENT, NONE, OK, LOST)), up(600))
    assert told(cut) == [(0, 600, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER)]
    alone = Scene(up(600), down(600, shows(UNSENT, UNSENT, NONE, OK)), up(600))
    assert told(alone) == [(0, 600, State.DOWN, Cause.ACCESS_LINK, Charge.UNKNOWN)]
    box = Scene(up(600), down(600, shows(UNSENT, UNSENT, NONE, OK, OK)), up(600))
    assert told(box) == [(0, 600, State.UP, Cause.RESOLVED_UP, Charge.NONE)]


def test_first_hop_loss_alone_is_never_evidence_and_its_answer_is() -> None:
    quiet = Piece(600, shows(OK, OK, LOST, OK, OK), State.UP)
    assert told(Scene(up(600), quiet, up(600))) == []
    behind = Scene(up(600), down(600, shows(LOST, LOST, OK, OK, LOST)), up(600))
    assert told(behind) == [(0, 600, State.DOWN, Cause.PROVIDER_CORE, Charge.PROVIDER)]


def test_a_gateway_that_never_answers_does_not_make_it_the_lan() -> None:
    quiet = Piece(600, shows(OK, OK, OK, LOST, OK), State.UP)
    cut = down(600, shows(LOST, LOST, LOST, LOST, LOST))
    assert told(Scene(quiet, cut, quiet)) == [
        (0, 600, State.DOWN, Cause.UNDETERMINED, Charge.UNKNOWN)
    ]


def test_where_node_and_prober_disagree_nobody_is_charged() -> None:
    scene = Scene(up(600), down(600, shows(LOST, LOST, LOST, OK, OK)), up(600))
    assert told(scene) == [(0, 600, State.DOWN, Cause.UNDETERMINED, Charge.UNKNOWN)]


def test_the_hub_alone_proves_nothing_unless_a_peer_reached_it() -> None:
    only_hub = Piece(600, shows(OK, NONE, OK, OK), State.UP)
    cut = Scene(only_hub, down(600, shows(LOST, NONE, LOST, OK)), only_hub)
    assert told(cut) == [(0, 600, State.DOWN, Cause.UNDETERMINED, Charge.UNKNOWN)]
    joined = correlate([cut.seen(), *(Scene(up(2000), link=f"p{k}").seen() for k in range(3))])
    assert told(cut, context=joined.context("l1")) == [
        (0, 600, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER)
    ]


def test_a_hub_that_says_it_was_off_makes_no_downtime() -> None:
    code = shows(LOST, NONE, LOST, OK)
    scene = Scene(up(600), down(600, code), up(600), hub_off=(Span(TEN, TEN + 600),))
    assert told(scene) == [(0, 600, State.UNKNOWN, Cause.HUB_OR_ANCHOR, Charge.UNKNOWN)]


NO_ANCHOR = Piece(600, shows(OK, LOST, OK, OK, OK), State.UP)


def test_a9_all_anchors_lost_while_the_hub_answers() -> None:
    scene = Scene(up(600), NO_ANCHOR, up(600))
    peer = Scene(up(1800), link="p")
    joined = correlate([scene.seen(), peer.seen()]).context("l1")
    assert told(scene, context=joined) == [(0, 600, State.DOWN, Cause.UPSTREAM, Charge.PROVIDER)]
    assert told(scene) == [(0, 600, State.UNKNOWN, Cause.UPSTREAM, Charge.UNKNOWN)]
    assert told(scene, Terms(internet=False), joined) == [
        (0, 600, State.UP, Cause.UPSTREAM, Charge.NONE)
    ]


@pytest.mark.parametrize(("losses", "counts"), [(3, False), (9, False), (10, True)])
def test_anchors_asked_every_ten_seconds_are_gone_after_ten_losses_and_not_after_three(
    losses: int, counts: bool
) -> None:
    hub_only = Piece(9, shows(OK, NONE, OK, OK, OK), State.UP)
    lost = [Piece(1, shows(OK, LOST, OK, OK, OK), State.UP), hub_only] * losses
    scene = Scene(up(600), *lost, up(600))
    joined = correlate([scene.seen(), Scene(up(1800), link="p").seen()]).context("l1")
    found = [one for one in told(scene, context=joined) if one[3] is Cause.UPSTREAM]
    assert bool(found) is counts
    assert all(state is State.DOWN for _, _, state, _, _ in found)


def test_a_window_takes_only_the_seconds_that_it_covers() -> None:
    scene = Scene(up(600), down(600), up(600))
    context = Context(windows=(Window(TEN + 100, TEN + 250, "7", "planned"),))
    assert told(scene, context=context) == [
        (0, 100, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
        (100, 250, State.DOWN, Cause.MAINTENANCE, Charge.EXCLUDED),
        (250, 600, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
    ]


def test_an_outage_that_goes_on_in_silence_is_cut_where_it_fell_silent() -> None:
    late = life(TEN + 2530, TEN + 9_000, "B", TEN + 2495)
    scene = Scene(
        up(600),
        down(300),
        silent(2230),
        up(600),
        lives=(life(TEN - 90_000, TEN + 300), late),
        device=(cpe(TEN + 2580, 80),),
    )
    assert told(scene) == [
        (0, 300, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
        (300, 2495, State.UNKNOWN, Cause.SITE_POWER, Charge.EXCLUDED),
        (2495, 2530, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN),
    ]


def test_a_down_run_held_over_a_silence_is_unknown_there() -> None:
    scene = Scene(
        up(600),
        down(200),
        Piece(30, SILENT, State.DOWN),
        down(200),
        up(600),
        lives=(life(TEN - 9_000, TEN + 200), life(TEN + 230, TEN + 9_000, "A")),
    )
    assert [one[2:] for one in told(scene)] == [
        (State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
        (State.UNKNOWN, Cause.AGENT_CRASH, Charge.UNKNOWN),
        (State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
    ]


def test_a_cpe_that_restarted_with_the_site_has_two_minutes_to_connect() -> None:
    scene = Scene(
        up(600),
        silent(GONE_S),
        down(300),
        up(600),
        lives=(BEFORE, ANEW),
        device=(cpe(TEN - 20, 900_000), cpe(TEN + GONE_S, 20)),
    )
    assert told(scene)[2:] == [
        (GONE_S, GONE_S + 100, State.DOWN, Cause.SITE_POWER, Charge.EXCLUDED),
        (GONE_S + 100, GONE_S + 300, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
    ]


def test_an_agent_on_battery_sees_the_cpe_go_with_the_mains() -> None:
    scene = Scene(up(600), down(600, CPE), up(600), mains=(MainsSample(TEN + 3, False),))
    assert told(scene) == [(0, 600, State.DOWN, Cause.SITE_POWER, Charge.EXCLUDED)]


def test_a_cpe_that_the_hub_reaches_through_a_silence_was_there() -> None:
    outside = Piece(1200, shows(outside=OK, alive=False), State.UNKNOWN)
    lost = Piece(1330, shows(outside=LOST, alive=False), State.UNKNOWN)
    scene = Scene(up(600), outside, lost, up(600), lives=(BEFORE, ANEW))
    assert told(scene) == [
        (0, 1200, State.UP, Cause.RESOLVED_UP, Charge.NONE),
        (1200, GONE_S, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("lives", "words"),
    [
        ((), "no agent of this link"),
        ((BEFORE,), "nothing came from the agent since"),
        ((life(TEN - 9_000, TEN + 9_000),), "records of 600 s are not here"),
    ],
)
def test_a_silence_without_an_end_is_told_as_what_it_is(lives, words: str) -> None:
    (one,) = Scene(up(600), silent(600), up(600), lives=lives).judged()
    assert (one.state, one.cause, one.charge) == (
        State.UNKNOWN,
        Cause.UNDETERMINED,
        Charge.UNKNOWN,
    )
    assert words in sentence(one.why).replace("No a", "no a").replace("Nothing", "nothing")


def test_an_area_cut_is_one_event_and_a_member_without_proof_is_told_so() -> None:
    scenes = [power(link=f"l{k}") if k < 4 else power(link=f"l{k}", device=()) for k in range(5)]
    joined = correlate([scene.seen() for scene in scenes])
    (event,) = joined.events()
    assert (event.kind, event.members) == (EventKind.POWER, ("l0", "l1", "l2", "l3"))
    proved, bare = (scenes[k].judged(context=joined.context(f"l{k}"))[0] for k in (0, 4))
    assert (proved.cause, proved.charge) == (Cause.SITE_POWER, Charge.EXCLUDED)
    assert Seen.FLEET in proved.witnesses
    assert (bare.cause, bare.charge, bare.event) == (Cause.SITE_POWER, Charge.UNKNOWN, event.name)


def test_the_dispute_of_the_handbook_comes_out_as_it_is_written() -> None:
    scene = Scene(
        up(600),
        silent(GONE_S),
        down(180),
        up(600),
        lives=(BEFORE, ANEW),
        device=(cpe(TEN - 20, 900_000), cpe(TEN + 43 * 60, 80)),
    )
    joined = correlate([scene.seen(), *(Scene(up(5_000), link=f"p{k}").seen() for k in range(9))])
    assert told(scene, context=joined.context("l1")) == [
        (0, 2495, State.UNKNOWN, Cause.SITE_POWER, Charge.EXCLUDED),
        (2495, 2530, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN),
        (2530, 2620, State.DOWN, Cause.SITE_POWER, Charge.EXCLUDED),
        (2620, 2710, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER),
    ]
