"""Throughput tests and experiments on demand, asked of the running collector; tests as they are in
the ledger."""

import sys
from pathlib import Path
from typing import Any

import click

from collector.commands.options import CONFIG, JSON, TOKEN, URL, in_one_line

WAIT = click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Stay and show how it goes."
)
METHOD = click.option(
    "--method",
    default="udp",
    show_default=True,
    type=click.Choice(["udp", "tcp", "ndt7", "iperf3"]),
)
SECONDS = click.option(
    "--duration",
    "duration_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(1, 600),
    help="Seconds of load in each direction and step.",
)
BOTH = {"down": ["down"], "up": ["up"], "both": ["down", "up"]}


@click.command()
@CONFIG
@URL
@TOKEN
@click.argument("node")
@click.option("--link", help="Needed where the node has several links.")
@METHOD
@click.option(
    "--direction",
    default="both",
    show_default=True,
    type=click.Choice(list(BOTH)),
)
@click.option(
    "--rate",
    metavar="MBPS",
    type=click.FloatRange(min=0, min_open=True),
    help="IP rate in Mbit/s; by default as planned. With --search the most to try.",
)
@click.option("--steps", help="Shares of the promised rate, e.g. 0.5,0.75,0.9,1.")
@click.option("--search", is_flag=True, help="Find the highest rate.")
@click.option("--flows", default=1, show_default=True, type=click.IntRange(1, 16))
@SECONDS
@click.option("--no-gate", is_flag=True, help="Do not wait for users; tell them before.")
@WAIT
@JSON
def test(
    config: Path,
    url: str | None,
    token_file: Path | None,
    wait: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Order a throughput test of NODE now, and show how it goes.

    Exit status 0 if it was done, 1 if not.
    """
    from time import sleep

    from collector import ordering

    with in_one_line():
        to = ordering.way(config, url, token_file, sleep)
        sys.exit(ordering.test(to, _order_body(told), wait=wait, as_json=as_json))


def _order_body(told: dict[str, Any]) -> dict[str, Any]:
    """What the API is asked. Raises ValueError."""
    body = {key: told[key] for key in ("node", "method", "flows", "duration_s")}
    body["directions"] = BOTH[told["direction"]]
    body["gate"] = not told["no_gate"]
    if told["link"] is not None:
        body["link"] = told["link"]
    if told["rate"] is not None:
        body["bits_per_s"] = max(1, round(told["rate"] * 1e6))
    if told["steps"] is not None:
        body["load"] = "steps"
        try:
            body["steps"] = [float(step) for step in told["steps"].split(",")]
        except ValueError as error:
            raise ValueError(f"--steps {told['steps']}: expected e.g. 0.5,0.75,1") from error
    if told["search"]:
        body["load"] = "search"
    return body


@click.command()
@CONFIG
@click.argument("link")
@click.option("--month", metavar="MONTH", help="Such as 2026-11; by default the running one.")
@JSON
def tests(config: Path, link: str, month: str | None, as_json: bool) -> None:
    """List a month's throughput tests of LINK by the evidence, and which of them count."""
    from collector import verdict_tables

    with in_one_line():
        verdict_tables.tests(config, link, month, as_json=as_json)


@click.command()
@CONFIG
@URL
@TOKEN
@JSON
@click.option("--cancel", metavar="ORDER", help="Withdraw this order first.")
def orders(
    config: Path, url: str | None, token_file: Path | None, as_json: bool, cancel: str | None
) -> None:
    """List ordered tests, or withdraw one."""
    from time import sleep

    from collector import ordering

    with in_one_line():
        ordering.orders(
            ordering.way(config, url, token_file, sleep), cancel=cancel, as_json=as_json
        )


@click.command()
@CONFIG
@URL
@TOKEN
@click.argument("pop")
@click.option("--links", help="Links of the PoP, with commas; by default all that are tested.")
@click.option("--direction", default="down", show_default=True, type=click.Choice(["down", "up"]))
@METHOD
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(10, 200))
@SECONDS
@WAIT
@JSON
def experiment(
    config: Path,
    url: str | None,
    token_file: Path | None,
    wait: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Test the sites of POP alone and together, in an order drawn by lot (experiment G).

    Shows whether our own links share less than was promised; 20 pairs of 8 sites take an hour.
    """
    from time import sleep

    from collector import ordering

    links = told.pop("links")
    body = told | ({} if links is None else {"links": links.split(",")})
    with in_one_line():
        to = ordering.way(config, url, token_file, sleep)
        sys.exit(ordering.experiment(to, body, wait=wait, as_json=as_json))
