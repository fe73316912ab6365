"""What the tests of the audit share: a link's seconds as text, one letter each."""

import numpy as np

from collector.audit.intervals import Interval
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import Charge, State
from collector.audit.strip import Mark, Strip, View, pack
from collector.audit.timeline import Showing, judge, showing

OK = pack({View.HUB: Mark.OK, View.ANCHOR: Mark.OK})
LOST = pack({View.HUB: Mark.LOST, View.ANCHOR: Mark.LOST, View.GATEWAY: Mark.OK})
NONE = pack({View.JOURNAL: Mark.OK})
CODES = {"+": OK, "-": LOST, ".": NONE}
START_S = 3_600
TEN = UnavailabilityRule()


def strip_of(text: str, start_s: int = START_S) -> Strip:
    """+ answered, - lost, . nothing asked."""
    return Strip.of_seconds(start_s, np.array([CODES[one] for one in text], np.uint16))


def seen_of(text: str, start_s: int = START_S) -> Showing:
    return showing(strip_of(text, start_s))


def intervals_of(seen: Showing, rule: UnavailabilityRule = TEN) -> tuple[Interval, ...]:
    """All that is down charged, as if that were the cause of everything."""
    charges = {State.UP: Charge.NONE, State.DOWN: Charge.PROVIDER, State.UNKNOWN: Charge.UNKNOWN}
    return tuple(
        Interval(run.start_s, run.end_s, run.state, charge=charges[run.state])
        for run in judge(seen, rule)
    )
