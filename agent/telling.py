"""How observations and what belongs to them are told on a terminal, to a person or a program.

Pure: records in, text out; `now_s` is an argument.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from wire.detail import DetailRecord, Exchange, Path, Power, Reading, Resolution
from wire.observation import Observation, Outcome

Told = tuple[Observation, Sequence[DetailRecord]]
"""An observation and the details that belong to it."""
_DAY_S = 86_400
_OPER_STATUS = ("up", "down", "testing", "unknown", "dormant", "not present", "lower layer down")
_COUNTERS = (
    ("in_octets", "octets in"),
    ("out_octets", "octets out"),
    ("in_packets", "packets in"),
    ("out_packets", "packets out"),
    ("in_errors", "errors in"),
    ("out_errors", "errors out"),
    ("in_discards", "discards in"),
    ("out_discards", "discards out"),
)
_ELSEWHERE = ("type", "link", "target", "boot_ns", "seq")
"""Fields of a detail that its observation has already, or that a command line knows."""


def gather(observations: Sequence[Observation], details: Sequence[DetailRecord]) -> list[Told]:
    """Give every observation its details: by number where they have one, else the last that began
    before them, for such attempts do not overlap. A resolution belongs to none."""
    told: list[tuple[Observation, list[DetailRecord]]] = [(one, []) for one in observations]
    numbered = {one.seq: parts for one, parts in told}
    began_ns = [one.sent_boot_ns for one in observations]
    for detail in details:
        if isinstance(detail, Resolution):
            continue
        if isinstance(detail, Exchange):
            mine = numbered.get(detail.seq)
        else:
            k = bisect_right(began_ns, detail.boot_ns)
            mine = told[k - 1][1] if k else None
        if mine is not None:
            mine.append(detail)
    return list(told)


def as_json(told: Told) -> str:
    """One line for a program: the observation, then each detail under the name of its kind."""
    one, details = told
    line: dict[str, Any] = {
        "seq": one.seq,
        "outcome": one.outcome.name.lower(),
        "rtt_ns": one.rtt_ns,
        "stamp": one.stamp.name.lower(),
        "sent_boot_ns": one.sent_boot_ns,
    }
    for name in ("ttl", "reflector_seq", "forward_us"):
        if (value := getattr(one, name)) is not None:
            line[name] = value
    for detail in details:
        fields = msgspec.to_builtins(detail)
        line[fields["type"]] = {k: v for k, v in fields.items() if k not in _ELSEWHERE}
        if isinstance(detail, Reading | Power):  # also where it is the default
            line[fields["type"]]["outcome"] = detail.outcome.name.lower()
    return msgspec.json.encode(line).decode()


def as_text(told: Told, now_s: float) -> str:
    """The same for a person: a line, and indented lines for what belongs to it."""
    one, details = told
    lines = [_line(one)]
    for detail in details:
        lines += [f"    {line}" for line in _TELL[type(detail)](detail, now_s)]
    return "\n".join(lines)


def summary(observations: Sequence[Observation]) -> dict[str, Any]:
    """Counts and RTT of all; null where nothing was measured."""
    rtts = sorted(
        one.rtt_ns for one in observations if one.rtt_ns is not None and one.outcome is Outcome.OK
    )
    sent = sum(not one.outcome.local for one in observations)
    lost = sum(one.outcome.lost for one in observations)

    def rank(share: float) -> int | None:
        return rtts[max(1, math.ceil(share * len(rtts))) - 1] if rtts else None

    return {
        "summary": True,
        "sent": sent,
        "lost": lost,
        "not_sent": len(observations) - sent,
        "loss_ratio": lost / sent if sent else None,
        "rtt_min_ns": rank(0),
        "rtt_median_ns": rank(0.5),
        "rtt_p95_ns": rank(0.95),
        "rtt_max_ns": rank(1),
    }


def summary_text(told: Mapping[str, Any]) -> str:
    """A summary for a person."""
    text = f"{told['sent']} sent, {told['lost']} lost, {told['not_sent']} not sent"
    if told["rtt_median_ns"] is None:
        return text
    names = ("min", "median", "p95", "max")
    times = (f"{name} {told[f'rtt_{name}_ns'] / 1e6:.3f}" for name in names)
    return f"{text}; RTT ms: {', '.join(times)}"


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.3f} ms"


def _line(one: Observation) -> str:
    if one.rtt_ns is None:
        return f"seq {one.seq}: {one.outcome.name.lower().replace('_', ' ')}"
    stamp = one.stamp.name.lower().replace("_", " ")
    said = "refused after " if one.outcome is Outcome.REFUSED else ""
    return f"seq {one.seq}: {said}{_ms(one.rtt_ns)} ({stamp} stamps)"


def _exchange(detail: Exchange, now_s: float) -> list[str]:
    words = [f"{phase.value} {_ms(ns)}" for phase, ns in detail.phases_ns.items()]
    if detail.status is not None:
        words.append(f"status {detail.status}")
    lines = [", ".join(words)] if words else []
    expires_s = detail.certificate_expires_s
    if expires_s is not None:
        days = (expires_s - now_s) / _DAY_S
        said = f"in {days:.0f} days" if days >= 0 else f"{-days:.0f} days ago"
        lines.append(f"certificate runs out {said} ({_day(expires_s)})")
    return [*lines, detail.note] if detail.note else lines


def _day(unix_s: int) -> str:
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):  # a certificate may say any year
        return f"{unix_s} s after 1970"


def _path(detail: Path, _: float) -> list[str]:
    lines = []
    for hop in detail.hops:
        time = f"  {_ms(hop.rtt_ns)}" if hop.rtt_ns is not None else ""
        lines.append(f"{hop.ttl:2d}  {hop.address or 'no answer'}{time}")
    said = "reached" if detail.reached else "not reached"
    if detail.changed:
        said += "; the way has changed"
    if detail.first_hop is not None:
        said += f"; the provider begins at {detail.first_hop}"
    return [*lines, said]


def _reading(detail: Reading, _: float) -> list[str]:
    words = []
    if detail.sys_uptime_cs is not None:
        words.append(f"device up for {detail.sys_uptime_cs / 100:.0f} s")
    if detail.oper_status is not None:
        words.append(f"interface {detail.interface} {_OPER_STATUS[detail.oper_status - 1]}")
    lines = [", ".join(words)] if words else []
    counts = [
        f"{value} {said}"
        for name, said in _COUNTERS
        if (value := getattr(detail, name)) is not None
    ]
    if counts:
        bits = f" ({detail.counter_bits}-bit counters)" if detail.counter_bits else ""
        lines.append(f"{', '.join(counts)}{bits}")
    lines += [f"{name}: {value:g}" for name, value in detail.values.items()]
    return [*lines, *(f"{name}: the device does not have it" for name in detail.missing)]


def _power(detail: Power, _: float) -> list[str]:
    mains = {True: "mains there", False: "no mains", None: "mains not known"}[detail.mains]
    words = [mains]
    if detail.battery_ratio is not None:
        words.append(f"battery {100 * detail.battery_ratio:.0f} %")
    if detail.battery_seconds is not None:
        words.append(f"{detail.battery_seconds} s left")
    return [f"{', '.join(words)} ({detail.source})"]


_TELL: Mapping[type, Callable[[Any, float], list[str]]] = {
    Exchange: _exchange,
    Path: _path,
    Power: _power,
    Reading: _reading,
}
