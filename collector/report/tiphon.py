"""The TIPHON index of Indonesian papers: familiar, and no judgement. Pure.

Rule set tiphon-id-v1 (methodology 6.1): half-open bins, the range reading of loss. The source, ETSI
TR 101 329, is about speech; a link that delivers half of its promise still scores "satisfying",
which is why nothing here bears on any other part of the audit.
"""

from bisect import bisect_left, bisect_right

from collector.report.record import TiphonPart

RULES = "tiphon-id-v1"
_DELAY_S = (0.150, 0.300)
_JITTER_S = (0.0, 0.075, 0.125)
_LOSS = (0.03, 0.15, 0.25)
_THROUGHPUT = (0.25, 0.50, 0.75)


def delay_index(delay_s: float) -> int:
    """4 below 150 ms, 3 below 300 ms, 2 up to 450 ms, 1 beyond."""
    return 1 if delay_s > 0.450 else 4 - bisect_right(_DELAY_S, delay_s)


def jitter_index(jitter_s: float) -> int:
    """4 for none, 3 up to 75 ms, 2 up to 125 ms, 1 beyond."""
    return 4 - bisect_left(_JITTER_S, jitter_s)


def loss_index(ratio: float) -> int:
    """4 below 3 %, 3 below 15 %, 2 below 25 %, 1 from there on."""
    return 4 - bisect_right(_LOSS, ratio)


def throughput_index(share: float) -> int:
    """4 above 75 % of the promise, 3 above 50 %, 2 above 25 %, 1 up to there."""
    return 1 + bisect_left(_THROUGHPUT, share)


def word(index: float) -> str:
    """What the papers call it."""
    if index >= 3.8:
        return "very_satisfying"
    if index >= 3:
        return "satisfying"
    return "less_satisfying" if index >= 2 else "poor"


def tiphon(
    delay_s: float | None,
    jitter_s: float | None,
    loss_ratio: float | None,
    throughput_share: float | None,
) -> TiphonPart:
    """The index of these; None stands for what was not measured."""
    each = (
        None if delay_s is None else delay_index(delay_s),
        None if jitter_s is None else jitter_index(jitter_s),
        None if loss_ratio is None else loss_index(loss_ratio),
        None if throughput_share is None else throughput_index(throughput_share),
    )
    known = [one for one in each if one is not None]
    index = sum(known) / len(each) if len(known) == len(each) else None
    return TiphonPart(
        rules=RULES,
        delay_s=delay_s,
        delay_index=each[0],
        jitter_s=jitter_s,
        jitter_index=each[1],
        loss_ratio=loss_ratio,
        loss_index=each[2],
        throughput_share=throughput_share,
        throughput_index=each[3],
        index=index,
        word=None if index is None else word(index),
    )
