"""Tables for the terminal: agents from the ledger, links from the running collector."""

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from collector import contracts, inventory, told
from collector.answers import FOR_EVER, Answers
from collector.audit.calendar import Month
from collector.audit.states import Cause
from collector.identity import TOKEN_FILE
from collector.ledger.approvals import Approvals
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.osuser import os_user
from collector.settings import Located, read
from runtime.clock import SystemClock


def agents(config: Path, *, as_json: bool, revoke: str | None, approve: str | None = None) -> None:
    """Print all agents; with `revoke` or `approve`, do that first. Raises SettingsError or
    ValueError."""
    located = read(config)
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        approvals = Approvals(ledger, asked=located.settings.approve_agents)
        if approve is not None:
            now = SystemClock().wall_ns()
            if not approvals.approve(_id(approve, "agent"), os_user(), now):
                raise ValueError(f"no agent {approve} that waits for approval; see `agents`")
        waiting = approvals.waiting(ledger.agents())
        if revoke is not None and not ledger.revoke(_id(revoke, "agent"), SystemClock().wall_ns()):
            raise ValueError(f"no agent {revoke} that could be revoked; see `agents`")
        rows = [
            {
                "agent": agent.agent_id.hex(),
                "node": agent.node,
                "version": agent.version,
                "public_key": agent.public_key.hex(),
                "enrolled_s": agent.enrolled_wall_ns / 1e9,
                "revoked_s": agent.revoked_wall_ns and agent.revoked_wall_ns / 1e9,
                "waits_for_approval": agent.agent_id in waiting,
            }
            for agent in ledger.agents()
        ]
    finally:
        ledger.close()
    show(rows, as_json=as_json)


def invitations(config: Path, *, as_json: bool, withdraw: str | None) -> None:
    """Print the join tokens that a box could still use; with `withdraw`, end that one first.

    Raises SettingsError or ValueError.
    """
    located, now = read(config), SystemClock().wall_ns()
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        if withdraw is not None and not ledger.withdraw(_id(withdraw, "invitation"), now):
            raise ValueError(
                f"no invitation {withdraw} that is open; see `invitations`, and `agents` if a box"
                " has joined with it"
            )
        rows = [
            {
                "invitation": one.token_id.hex(),
                "node": one.node,
                "made_s": one.created_wall_ns / 1e9,
                "expires_s": one.expires_wall_ns / 1e9,
            }
            for one in ledger.open_tokens(now)
        ]
    finally:
        ledger.close()
    show(rows, as_json=as_json)


def _id(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"{what} {text!r}: expected 32 hex digits, see `{what}s`") from error


def fetch(url: str, path: str, token: str | None = None) -> list[dict[str, Any]]:
    """A list of the API of a running collector, which may ask for its operator's token.

    Raises OSError or ValueError.
    """
    # The collector of this machine may have a certificate of the agency's own. To any other, the
    # token goes only where its certificate is one that this machine believes.
    context = ssl._create_unverified_context() if token is None or _here(url) else None
    request = urllib.request.Request(f"{url}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return list(json.load(answer))


def _here(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def fetch_links(url: str, token: str | None = None) -> list[dict[str, Any]]:
    """/api/v1/links of a running collector. Raises OSError or ValueError."""
    return fetch(url, "/api/v1/links", token)


def token_here(config: Path) -> str | None:
    """The operator's token of this machine's collector, where it can be read."""
    try:
        return (read(config).data_dir / TOKEN_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def local_url(located: Located) -> str:
    """Where the collector of these settings answers on this machine."""
    http = located.settings.http
    host = "127.0.0.1" if http.host in ("0.0.0.0", "::") else http.host
    return f"{'https' if http.cert_file else 'http'}://{host}:{http.port}"


def links(config: Path, *, as_json: bool, url: str | None, token_file: Path | None = None) -> None:
    """Print all links as known now. Raises SettingsError, OSError or ValueError."""
    at = url or local_url(read(config))
    token = token_here(config) if url is None or _here(url) else None
    if token_file is not None:
        token = token_file.read_text(encoding="ascii").strip()
    try:
        rows = fetch_links(at, token)
    except urllib.error.HTTPError as error:
        raise OSError(
            f"{at} answers {error.code}: --token-file names a token that it takes"
        ) from error
    except OSError as error:
        raise OSError(f"no collector answers at {at}: {error}") from error
    columns = (
        "link",
        "node",
        "provider",
        "state",
        "reason",
        "last_heard_age_s",
        "rtt_median_s",
        "loss_ratio",
        "evidence_missing_batches",
    )
    show(rows if as_json else [{key: row[key] for key in columns} for row in rows], as_json=as_json)


class Wanted(NamedTuple):
    """What was asked for on the command line."""

    link: str | None
    month: str | None
    as_json: bool


@contextmanager
def _answers(config: Path, link: str | None) -> Iterator[Answers]:
    """The audit's answers out of the ledger, whether the collector runs or not."""
    located = read(config)
    settings = located.settings
    links_file = located.path(settings.links_file)
    both = inventory.read(located.path(settings.nodes_file), links_file)
    promised = contracts.read(located.contracts_file, both)
    if link is not None and link not in both.links:
        known = ", ".join(sorted(both.links)) or "none"
        raise ValueError(f"{links_file}: no link {link!r}; known: {known}")
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        derived = DerivedStore(ledger)
        behind = derived.behind()
        if behind:
            sys.stderr.write(
                f"note: {behind} batches are not judged yet: the running collector does that\n"
            )
        yield Answers(OutageStore(ledger), derived, lambda: (both, promised))
    finally:
        ledger.close()


def outages(config: Path, wanted: Wanted, cause: str | None) -> None:
    """Print outages. Raises SettingsError, LedgerError or ValueError."""
    with _answers(config, wanted.link) as answers:
        zone = answers.zone(wanted.link)
        span = FOR_EVER if wanted.month is None else Month.parse(wanted.month, zone).span
        kept = answers.outages(wanted.link, span, None if cause is None else Cause(cause))
        rows = [told.outage(one) for one in kept]
    if wanted.as_json:
        show(rows, as_json=True)
        return
    local = timezone(timedelta(seconds=zone.offset_s), zone)
    show(
        [
            {
                "#": number,
                "link": row["link"],
                "state": row["state"],
                f"began ({zone})": _moment(row["start_s"], local),
                f"ended ({zone})": _moment(row["end_s"], local) or "lasts",
                "for": _length(row["duration_s"]),
                "cause": row["cause"],
                "charge": row["charge"],
                "settled": "yes" if row["settled"] else "provisional",
            }
            for number, row in enumerate(rows, 1)
        ],
        as_json=False,
    )
    for number, row in enumerate(rows, 1):
        if row["why"]:
            sys.stdout.write(f"{number}: {row['why']}\n")


def events(config: Path, wanted: Wanted) -> None:
    """Print what several links had in common. Raises SettingsError, LedgerError or ValueError."""
    with _answers(config, None) as answers:
        zone = answers.zone(None)
        span = FOR_EVER if wanted.month is None else Month.parse(wanted.month, zone).span
        rows = [told.event(one) for one in answers.events(span)]
    if wanted.as_json:
        show(rows, as_json=True)
        return
    local = timezone(timedelta(seconds=zone.offset_s), zone)
    show(
        [
            {
                "event": row["event"],
                "cause": row["cause"],
                f"began ({zone})": _moment(row["start_s"], local),
                f"ended ({zone})": _moment(row["end_s"], local) or "lasts",
                "links": ", ".join(row["links"]),
            }
            for row in rows
        ],
        as_json=False,
    )


def delays(config: Path, wanted: Wanted) -> None:
    """Print a month's delays. Raises SettingsError, LedgerError or ValueError."""
    now_s = SystemClock().wall_ns() // 1_000_000_000
    with _answers(config, wanted.link) as answers:
        links = None if wanted.link is None else [wanted.link]
        rows = [
            {"link": answer.link, **told.delays(one)}
            for answer in answers.availability(wanted.month, now_s, links)
            for one in answers.delays(answer)
        ]
    if wanted.as_json:
        show(rows, as_json=True)
        return
    show(
        [
            {
                "link": row["link"],
                "target": row["target"],
                "packets": row["packets"],
                "loss": _percent(row["loss_ratio"]),
                "limit": _percent(row["loss_limit"]),
                "median": _milliseconds(row["p50_s"]),
                "95 %": _milliseconds(row["p95_s"]),
                "99 %": _milliseconds(row["p99_s"]),
                "PDV": _milliseconds(row["pdv_high_s"]),
                "RTT limit": _milliseconds(row["rtt_limit_s"]),
                "PDV limit": _milliseconds(row["pdv_limit_s"]),
                "RTT": row["rtt_verdict"] or "",
                "variation": row["pdv_verdict"] or "",
                "losses": row["loss_verdict"] or "",
                "tests": f"{row['loaded_s']} s",
            }
            for row in rows
        ],
        as_json=False,
    )


def availability(config: Path, wanted: Wanted) -> None:
    """Print a month's availability. Raises SettingsError, LedgerError or ValueError."""
    now_s = SystemClock().wall_ns() // 1_000_000_000
    with _answers(config, wanted.link) as answers:
        links = None if wanted.link is None else [wanted.link]
        rows = [
            told.availability(one) | told.violations(answers.violations(one))
            for one in answers.availability(wanted.month, now_s, links)
        ]
    if wanted.as_json:
        show(rows, as_json=True)
        return
    show(
        [
            {
                "link": row["link"],
                "month": row["month"] + ("" if row["complete"] else " so far"),
                "target": _percent(row["target"]),
                "low": _percent(row["availability_low"]),
                "high": _percent(row["availability_high"]),
                "down": _length(row["down_s"]),
                "unknown": _length(row["unknown_s"]),
                "excluded": _length(row["excluded_s"]),
                "budget left": _length(row["budget_left_s"]),
                "verdict": row["verdict"],
            }
            for row in rows
        ],
        as_json=False,
    )


def _moment(at_s: float | None, zone: timezone) -> str:
    return "" if at_s is None else datetime.fromtimestamp(at_s, zone).strftime("%Y-%m-%d %H:%M:%S")


def _length(seconds: float | None) -> str:
    """Such as 1 h 02 min 03 s; empty for what is not known."""
    if seconds is None:
        return ""
    sign, whole = "-" if seconds < 0 else "", abs(round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{sign}{hours} h {minutes:02} min {rest:02} s"
    return f"{sign}{minutes} min {rest:02} s" if minutes else f"{sign}{rest} s"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.4g} ms"


def _percent(ratio: float | None) -> str:
    """Cut and not rounded: 99.4999 % must not read as a target of 99.5 % that was met."""
    if ratio is None:
        return ""
    return f"{(100 * Decimal(str(ratio))).quantize(Decimal('0.0001'), ROUND_DOWN)} %"


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        json.dump(rows, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    table = Table()
    for name in rows[0] if rows else ("nothing here",):
        table.add_column(name.removesuffix("_s").replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _cell(value) for value in row.values()))
    Console().print(table)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and value < 1e6 else str(value)
