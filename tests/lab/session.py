"""A lab in the hands of somebody at a terminal."""

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from runtime.lab.build import Lab
from runtime.lab.emulator import EmulatorError
from runtime.lab.link import BOTH, CLEAR, DOWN, UP, Link
from runtime.lab.namespaces import Namespace
from runtime.lab.topology import Site
from runtime.lab.truth import Second
from tests.lab.console import (
    HELP,
    Command,
    CommandError,
    knobs_of,
    parse,
    seconds_of,
    shape_of,
)

_T = TypeVar("_T")
_DROPS = ("loss", "queue", "down", "power", "mtu", "filter", "overrun", "device")


class Session:
    """Performs commands on a standing lab and tells what its links do."""

    def __init__(self, lab: Lab, sites: Mapping[str, Site]) -> None:
        self._lab = lab
        self._sites = sites
        self._told = 0
        self.over = False

    def take(self, line: str) -> None:
        """Perform one line; a bad one is complained about and changes nothing."""
        try:
            command = parse(line)
            if command is not None:
                self._perform(command)
        except (CommandError, EmulatorError) as error:
            print(f"! {error}")

    def tell(self) -> None:
        """Print the seconds logged since the last call in which anything moved."""
        seconds = self._lab.truth().seconds
        for second in seconds[self._told :]:
            if second.counters.in_packets or second.counters.out_packets:
                print(line_of(second))
        self._told = len(seconds)

    def _perform(self, command: Command) -> None:
        verb, words = command.verb, command.words
        acts: dict[str, Callable[[tuple[str, ...]], object]] = {
            "set": self._set,
            "bottleneck": self._bottleneck,
            "clear": lambda words: self._link(words[0]).set(BOTH, CLEAR),
            "down": lambda words: self._link(words[0]).down(),
            "up": lambda words: self._link(words[0]).up(),
            "unplug": lambda words: self._link(words[0]).unplug(),
            "plug": lambda words: self._link(words[0]).plug(),
            "poweroff": lambda words: self._site(words[0]).power_off(),
            "poweron": lambda words: self._site(words[0]).power_on(),
            "run": self._run,
            "count": self._count,
            "packets": lambda words: self._lab.emulator.log_packets(words[0] == "on"),
            "wait": self._wait,
            "help": lambda _: print(HELP),
            "quit": self._quit,
        }
        acts[verb](words)

    def _set(self, words: tuple[str, ...]) -> None:
        link = self._link(words[0])
        for direction, knobs in knobs_of(words[1:]):
            link.set(direction, knobs)

    def _bottleneck(self, words: tuple[str, ...]) -> None:
        self._lab.emulator.bottleneck(words[0], shape_of(words[1:]))

    def _run(self, words: tuple[str, ...]) -> None:
        subprocess.run(self._space(words[0]).argv(words[1:]), check=False)

    def _count(self, words: tuple[str, ...]) -> None:
        for name in words or tuple(self._lab.links):
            for direction in (UP, DOWN):
                print(f"{name:>14} {direction.value:<4} {self._link(name).count(direction)}")

    def _wait(self, words: tuple[str, ...]) -> None:
        left = seconds_of(words[0])
        while left > 0:
            time.sleep(min(1.0, left))
            left -= 1.0
            self.tell()

    def _quit(self, _words: tuple[str, ...]) -> None:
        self.over = True

    def _link(self, name: str) -> Link:
        return _known(self._lab.links, name, "link")

    def _site(self, name: str) -> Site:
        return _known(self._sites, name, "site")

    def _space(self, name: str) -> Namespace:
        return _known(self._lab.spaces, name, "namespace")


def line_of(second: Second) -> str:
    """One second of one direction, as people read it."""
    counters = second.counters
    drops = [f"{name} {getattr(counters, name)}" for name in _DROPS if getattr(counters, name)]
    return (
        f"{second.link:>14} {second.direction.value:<4}"
        f" in {counters.in_packets:>6} pkt {counters.in_bytes * 8 / 1e6:>8.3f} Mbit"
        f"  out {counters.out_packets:>6} pkt {counters.out_bytes * 8 / 1e6:>8.3f} Mbit"
        f"  held {counters.held:>4}  {'dropped: ' + ', '.join(drops) if drops else ''}"
    ).rstrip()


def _known(things: Mapping[str, _T], name: str, kind: str) -> _T:
    try:
        return things[name]
    except KeyError:
        raise CommandError(f"{name}: no such {kind}; there is {', '.join(things)}") from None
