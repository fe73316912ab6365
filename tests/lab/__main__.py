"""`python -m tests.lab`: the emulated network by hand."""

import argparse
import contextlib
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.lab.build import Lab, LabSettings, available
from runtime.lab.emulator import EmulatorSettings
from runtime.lab.namespaces import sweep
from runtime.lab.topology import Site, province, star
from tests.lab import precision
from tests.lab.console import HELP
from tests.lab.session import Session

EXAMPLE = """\
example:
  python -m tests.lab star --sites north,south
  > set north delay=20ms down.loss=1% up.rate=10Mbit
  > run north ping -c 3 198.18.0.1
  > down north
  > poweroff south

A shell at a site: the printed name with `ip netns exec NAME bash`. Ctrl-C ends the lab and removes
everything. UP is from the site towards the hub.

commands:
"""


def main() -> int:
    """Parse the command line and run what it names."""
    arguments = _parser().parse_args()
    if (reason := available()) is not None:
        print(reason, file=sys.stderr)
        return 1
    # `kill` must clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        arguments.act(arguments)
    except KeyboardInterrupt:
        print("\nremoving the lab")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description="Build an emulated network, change its links at run time, see what they did.",
        epilog=EXAMPLE + HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(required=True, metavar="star|province|precision|sweep")
    _star_parser(kinds.add_parser("star", help="nodes, each behind its own link, and a hub"))
    _province_parser(
        kinds.add_parser("province", help="node - CPE - access - PoP - core - hub, and an anchor")
    )
    exact = kinds.add_parser("precision", help="measure how true the emulator is (70 s)")
    exact.add_argument("--spin-us", type=float, help="longest spin before a packet is due")
    exact.add_argument("--no-priority", action="store_true", help="ordinary scheduling")
    exact.set_defaults(act=_precision)
    clean = kinds.add_parser("sweep", help="remove what killed labs left behind")
    clean.set_defaults(act=lambda _: print("\n".join(sweep()) or "nothing to remove"))
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--script", type=Path, help="take commands from a file, then end")
    parser.add_argument("--directory", type=Path, help="keep truth.jsonl and packets.jsonl here")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices (default 1)")


def _star_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sites", default="site1", help="names, with commas (default site1)")
    parser.add_argument(
        "--hub-in-root", action="store_true", help="the hub is this machine's own namespace"
    )
    _common(parser)
    parser.set_defaults(act=_star)


def _province_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sites",
        default="site1:pop1,site2:pop1",
        help="SITE:POP with commas (default site1:pop1,site2:pop1)",
    )
    _common(parser)
    parser.set_defaults(act=_province)


def _star(arguments: argparse.Namespace) -> None:
    names = arguments.sites.split(",")
    root = arguments.hub_in_root
    with star(names, hub_in_root=root, settings=_settings(arguments)) as net:
        print(f"hub {net.hub_address} in {net.hub.name or 'the root namespace'}")
        _serve(arguments, net.lab, net.sites)


def _province(arguments: argparse.Namespace) -> None:
    sites = dict(pair.partition(":")[::2] for pair in arguments.sites.split(","))
    with province(sites, settings=_settings(arguments)) as net:
        print(f"hub {net.hub_address}, anchor {net.anchor_address}")
        for pop in net.pops.values():
            print(f"{pop.name} {pop.address}: links {pop.core.name}, {pop.anchor.name}")
        _serve(arguments, net.lab, net.sites)


def _precision(arguments: argparse.Namespace) -> None:
    precision.report(spin_us=arguments.spin_us, priority=not arguments.no_priority)


def _settings(arguments: argparse.Namespace) -> LabSettings:
    emulator = EmulatorSettings(seed=arguments.seed)
    return LabSettings(directory=arguments.directory, emulator=emulator)


def _serve(arguments: argparse.Namespace, lab: Lab, sites: Mapping[str, Site]) -> None:
    for site in sites.values():
        behind = f" behind {site.cpe_address} / {site.cpe_wan_address}" if site.cpe else ""
        print(f"{site.name} {site.node_address}{behind}")
    for label, space in lab.spaces.items():
        print(f"  ip netns exec {space.name} ...   # {label}")
    print(f"logs in {lab.directory}")
    session = Session(lab, sites)
    if arguments.script is not None:
        lines = arguments.script.read_text().splitlines()
    else:
        lines = _typed(session)
    for line in lines:
        if arguments.script is not None:
            print(f"> {line}")
        session.take(line)
        if session.over:
            return
    session.tell()


def _typed(session: Session) -> Iterator[str]:
    """Lines of the terminal; between them, once a second, what the links do."""
    print("commands: help")
    with contextlib.suppress(EOFError):
        while True:
            if select.select([sys.stdin], [], [], 1.0)[0]:
                line = sys.stdin.readline()
                if not line:
                    return
                yield line
            session.tell()


if __name__ == "__main__":
    sys.exit(main())
