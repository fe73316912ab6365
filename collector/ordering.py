"""Orders from the terminal: test a node now, run experiment G, and watch how it goes.

Everything goes through the running collector's HTTP API, so that it works from another machine too,
with the operator's token.
"""

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from rich.console import Console
from rich.table import Table

from collector.identity import TOKEN_FILE
from collector.settings import read
from collector.tables import local_url, show, token_here

POLL_S = 2.0
TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the collector is reached."""

    url: str
    token: str | None
    sleep: Callable[[float], None]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The API's answer. Raises OSError or ValueError with the collector's own words."""
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(
                request, timeout=TIMEOUT_S, context=_trust(self.url)
            ) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(_said(error)) from error
        except OSError as error:
            raise OSError(f"no collector answers at {self.url}: {error}") from error


def _trust(url: str) -> ssl.SSLContext | None:
    if not url.startswith("https"):
        return None
    # The token is shown, so another machine has to prove who it is.
    return ssl._create_unverified_context() if _is_local(url) else ssl.create_default_context()


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the collector answers {error.code} {error.reason}"


def way(
    config: Path, url: str | None, token_file: Path | None, sleep: Callable[[float], None]
) -> Way:
    """By default the collector and the token of this machine. Raises SettingsError or OSError."""
    if url is not None and token_file is None:
        token = token_here(config) if _is_local(url) else None
        return Way(url=url.rstrip("/"), token=token, sleep=sleep)
    file = token_file or read(config).data_dir / TOKEN_FILE
    token = file.read_text(encoding="ascii").strip()
    return Way(url=(url or local_url(read(config))).rstrip("/"), token=token, sleep=sleep)


def test(to: Way, body: dict[str, Any], *, wait: bool, as_json: bool) -> int:
    """Order a test and, with `wait`, follow it to its end; the exit status."""
    told = to.call("POST", "/api/v1/orders", body)
    path = f"/api/v1/orders/{told['order']}"
    err = Console(stderr=True)
    if not as_json:
        err.print(f"order {told['order']}: link {told['link']}, {_what(told)}", highlight=False)
    try:
        told = _follow(to, path, told, err if not as_json else None) if wait else told
    except KeyboardInterrupt:
        err.print(
            f"The order stands; `pantau-collector orders --cancel {told['order']}` withdraws it.",
            highlight=False,
        )
        raise
    if as_json:
        json.dump(told, sys.stdout, indent=1)
        sys.stdout.write("\n")
    for one in [] if as_json else told["figures"]:
        sys.stdout.write(_words(one) + "\n")
    return 0 if not wait or told["state"] == "done" else 1


def orders(to: Way, *, cancel: str | None, as_json: bool) -> None:
    """List all orders, the oldest first; with `cancel`, withdraw one before."""
    if cancel is not None:
        to.call("DELETE", f"/api/v1/orders/{quote(cancel, safe='')}")
    columns = ("order", "link", "method", "load", "state", "detail")
    told = to.call("GET", "/api/v1/orders")
    show(told if as_json else [{key: one[key] for key in columns} for one in told], as_json=as_json)


def _what(told: dict[str, Any]) -> str:
    return f"{told['method']} {' and '.join(told['directions'])}, {told['load']}"


def _follow(to: Way, path: str, told: dict[str, Any], err: Console | None) -> dict[str, Any]:
    """Ask until the order is final; every change is a line."""
    said = ""
    while True:
        now = _line(told)
        if err is not None and now != said:
            err.print(now, highlight=False)
            said = now
        if told["final"]:
            return told
        to.sleep(POLL_S)
        told = to.call("GET", path)


_WORDS = {
    "queued": "queued: the agent has not heard of it yet",
    "accepted": "taken by the agent",
    "gate": "waiting for the users to leave room",
    "slot": "waiting for a slot",
    "running": "running",
}


def _line(told: dict[str, Any]) -> str:
    words = _WORDS.get(str(told["state"]), str(told["state"]))
    ended, wanted = len(told["figures"]), len(told["directions"])
    done = f" ({ended} of {wanted} directions)" if 0 < ended < wanted else ""
    detail = f": {told['detail']}" if told["detail"] else ""
    return f"{words}{done}{detail}"


def _words(one: dict[str, Any]) -> str:
    """What one direction gave."""
    told = [
        ("{} Mbit/s", _scaled(one["bits_per_s"], 1e-6, 2)),
        ("of {} offered", _scaled(one["offered_bits_per_s"], 1e-6, 2)),
        ("lost {} %", _scaled(one["lost_ratio"], 100, 3)),
        ("RTT under load {} ms", _scaled(one["rtt_s"], 1e3, 1)),
        ("users took {} Mbit/s before", _scaled(one["cross_bits_per_s"], 1e-6, 2)),
        ("{}", one["detail"]),
    ]
    parts = [form.format(value) for form, value in told if value]
    return f"{one['direction']}: {one['end']}" + "".join(f", {part}" for part in parts)


def _scaled(value: float | None, by: float, digits: int) -> str:
    return "" if value is None else f"{value * by:.{digits}f}"


def experiment(to: Way, body: dict[str, Any], *, wait: bool, as_json: bool) -> int:
    """Begin experiment G and, with `wait`, follow it to its end; the exit status."""
    told = to.call("POST", "/api/v1/experiments", body)
    path, err = f"/api/v1/experiments/{told['experiment']}", Console(stderr=True)
    said = ""
    while True:
        now = (
            f"experiment {told['experiment']}: {told['state']}, {len(told['pairs'])} of"
            f" {told['repeats']} pairs, {told['pairs_spoiled']} spoiled {told['detail']}"
        ).rstrip()
        if not as_json and now != said:
            err.print(now, highlight=False)
            said = now
        if not wait or told["state"] != "running":
            break
        to.sleep(POLL_S)
        told = to.call("GET", path)
    if as_json:
        json.dump(told, sys.stdout, indent=1)
        sys.stdout.write("\n")
    elif told["pairs"]:
        show_pairs(told)
    return 0 if not wait or told["state"] == "done" else 1


def show_pairs(told: dict[str, Any]) -> None:
    """Print an experiment's pairs, and what they show."""
    Console().print(_pairs(told["pairs"]))
    if told.get("result") is not None:
        Console().print(_shows(told["result"]), highlight=False, soft_wrap=True)


_SHARING = {
    "oversubscribed": "the sites share less than was promised",
    "not_shown": "it is not shown that the sites share less than was promised",
    "not_exact": "no finding: too few pairs, one order only, or less than promised even alone",
}


def _shows(result: dict[str, Any]) -> str:
    """What the pairs show; ratios are of the promised rates."""
    found = result["sharing"] == "oversubscribed"
    shared = f", 1:{result['contention']:.2f}" if found else ""
    return (
        f"{_SHARING[result['sharing']]}: alone {result['solo_ratio']:.3f}, together"
        f" {result['ratio']:.3f} of what was promised{shared}; less together in"
        f" {result['wins']} of {result['repeats']} pairs, p = {result['p']:.2g}"
    )


def _pairs(pairs: list[dict[str, Any]]) -> Table:
    """Sums over the sites: what each could have, and what they had at once."""
    table = Table()
    for name in ("pair", "first", "alone Mbit/s", "together Mbit/s", "ratio"):
        table.add_column(name)
    for one in pairs:
        alone = sum(one["alone_bits_per_s"].values())
        together = sum(one["together_bits_per_s"].values())
        table.add_row(
            str(one["pair"]),
            "together" if one["together_first"] else "alone",
            _scaled(alone, 1e-6, 2),
            _scaled(together, 1e-6, 2),
            f"{together / alone:.3f}" if alone else "",
        )
    return table
