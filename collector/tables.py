"""Tables for the terminal: agents from the ledger, links from the running collector."""

import json
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from collector.ledger.sqlite import SqliteLedger
from collector.settings import Located, read
from runtime.clock import SystemClock


def agents(config: Path, *, as_json: bool, revoke: str | None) -> None:
    """Print all agents; with `revoke`, refuse one first. Raises SettingsError or ValueError."""
    located = read(config)
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        if revoke is not None and not ledger.revoke(_agent_id(revoke), SystemClock().wall_ns()):
            raise ValueError(f"no agent {revoke} that could be revoked; see `agents`")
        rows = [
            {
                "agent": agent.agent_id.hex(),
                "node": agent.node,
                "version": agent.version,
                "public_key": agent.public_key.hex(),
                "enrolled_s": agent.enrolled_wall_ns / 1e9,
                "revoked_s": agent.revoked_wall_ns and agent.revoked_wall_ns / 1e9,
            }
            for agent in ledger.agents()
        ]
    finally:
        ledger.close()
    show(rows, as_json=as_json)


def _agent_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"agent {text!r}: expected 32 hex digits, see `agents`") from error


def fetch_links(url: str) -> list[dict[str, Any]]:
    """/api/v1/links of a running collector. Raises OSError or ValueError."""
    # The collector may have a certificate of the agency's own; nothing secret is asked or told.
    context = ssl._create_unverified_context() if url.startswith("https") else None
    with urllib.request.urlopen(f"{url}/api/v1/links", timeout=5, context=context) as answer:
        return list(json.load(answer))


def local_url(located: Located) -> str:
    """Where the collector of these settings answers on this machine."""
    http = located.settings.http
    host = "127.0.0.1" if http.host in ("0.0.0.0", "::") else http.host
    return f"{'https' if http.cert_file else 'http'}://{host}:{http.port}"


def links(config: Path, *, as_json: bool, url: str | None) -> None:
    """Print all links as known now. Raises SettingsError, OSError or ValueError."""
    at = url or local_url(read(config))
    try:
        rows = fetch_links(at)
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


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        json.dump(rows, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    table = Table()
    for name in rows[0] if rows else ("nothing here",):
        table.add_column(name.removesuffix("_s").replace("_", " "))
    for row in rows:
        table.add_row(*("" if value is None else _cell(value) for value in row.values()))
    Console().print(table)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and value < 1e6 else str(value)
