"""The words of the lab's command line, turned into knobs; no network here."""

from dataclasses import dataclass, fields

from runtime.lab.link import BOTH, Direction, Knobs, Shape

HELP = """\
  set LINK [up.|down.]KNOB=VALUE ...   change one direction, or both
  bottleneck NAME KNOB=VALUE ...       a rate limiter that links share (set LINK bottleneck=NAME)
  clear LINK                           a perfect line again
  down LINK | up LINK                  cut silently, mend
  unplug LINK | plug LINK              the carrier goes away too
  poweroff SITE | poweron SITE         kill all its processes; it answers nothing
  run SPACE COMMAND ...                run a command in a namespace and wait for it
  count [LINK]                         totals since the start
  packets on|off                       one line for each packet in packets.jsonl
  wait SECONDS                         for scripts
  help | quit

Knobs: delay=20ms jitter=2ms jitter_model=normal order=free loss=1% burst_start=0.1% burst_end=20%
  loss_in_good=0 loss_in_bad=1 drop_every=10 drop_next=3 drop_pattern=..x duplicate=1%
  reorder=1% reorder_delay=10ms mtu=1400 mtu_df_only=yes drop=icmp,udp:53 only=udp:862
  rate=10Mbit peak=50Mbit burst=200kB queue=64kB queue_packets=100 overhead=38 bottleneck=NAME
  An empty value turns a word off: drop= only= drop_pattern= bottleneck=
"""


class CommandError(ValueError):
    """A line that means nothing; the message says why."""


@dataclass(frozen=True)
class Command:
    """One line, taken apart."""

    verb: str
    words: tuple[str, ...] = ()


_ARGUMENTS = {
    "set": (2, 99),
    "bottleneck": (2, 99),
    "run": (2, 99),
    "count": (0, 1),
    "packets": (1, 1),
    "wait": (1, 1),
    "help": (0, 0),
    "quit": (0, 0),
    **dict.fromkeys(("clear", "down", "up", "unplug", "plug", "poweroff", "poweron"), (1, 1)),
}


def parse(line: str) -> Command | None:
    """A command, or None for an empty line or a comment."""
    words = line.partition("#")[0].split()
    if not words:
        return None
    verb, rest = words[0], tuple(words[1:])
    if verb not in _ARGUMENTS:
        raise CommandError(f"{verb}: no such command; try help")
    least, most = _ARGUMENTS[verb]
    if not least <= len(rest) <= most:
        raise CommandError(f"{verb}: wrong number of words; try help")
    return Command(verb, rest)


def knobs_of(words: tuple[str, ...]) -> list[tuple[Direction, Knobs]]:
    """`up.delay=20ms loss=1%` as knobs, one group for each direction named."""
    groups: dict[Direction, dict[str, object]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"{word}: want KNOB=VALUE")
        direction = BOTH
        prefix, dot, rest = name.partition(".")
        if dot:
            if prefix not in ("up", "down"):
                raise CommandError(f"{word}: want up.KNOB or down.KNOB")
            direction, name = Direction(prefix), rest
        field, parsed = _field(name, value, Knobs)
        groups.setdefault(direction, {})[field] = parsed
    return [(direction, Knobs(**group)) for direction, group in groups.items()]  # type: ignore[arg-type]


def shape_of(words: tuple[str, ...]) -> Shape:
    """`rate=10Mbit queue=64kB` as the shape of a bottleneck."""
    pairs = [word.partition("=") for word in words]
    return Shape(**dict(_field(name, value, Shape) for name, _, value in pairs))  # type: ignore[arg-type]


def seconds_of(text: str) -> float:
    """`5`, `5s` or `200ms`."""
    return _number(text, {"": 1, "s": 1, "ms": 1e-3})


_UNITS = {
    "_ms": {"": 1, "ms": 1, "us": 1e-3, "s": 1e3},
    "_bps": {"": 1, "bit": 1, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9},
    "_bytes": {"": 1, "B": 1, "kB": 1e3, "MB": 1e6},
}
_ODDS = {
    "loss",
    "burst_start",
    "burst_end",
    "loss_in_good",
    "loss_in_bad",
    "duplicate",
    "reorder",
}
_WORDS = {"jitter_model", "order", "drop_pattern", "bottleneck"}
_LISTS = {"drop", "only"}
_SWITCHES = {"up", "powered", "mtu_df_only"}


def _field(name: str, value: str, record: type[Shape]) -> tuple[str, object]:
    """Full name of a knob (`delay` is `delay_ms`) and its value."""
    known = {field.name for field in fields(record)}
    for full in (name, *(name + unit for unit in _UNITS)):
        if full in known:
            return full, _value(full, value)
    raise CommandError(f"{name}: no such knob; try help")


def _value(name: str, text: str) -> object:
    if name in _WORDS:
        return text
    if name in _LISTS:
        return tuple(filter(None, text.split(",")))
    if name in _SWITCHES:
        if text not in ("yes", "no"):
            raise CommandError(f"{name}: want yes or no")
        return text == "yes"
    if name in _ODDS:
        return _number(text, {"": 1, "%": 0.01})
    for ending, units in _UNITS.items():
        if name.endswith(ending):
            number = _number(text, units)
            return round(number) if ending == "_bytes" else number
    return round(_number(text, {"": 1}))


def _number(text: str, units: dict[str, float]) -> float:
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%")
    unit = text[len(digits) :]
    try:
        return float(digits) * units[unit]
    except (ValueError, KeyError):
        known = ", ".join(filter(None, units)) or "none"
        raise CommandError(f"{text}: not a number with a unit known here ({known})") from None
