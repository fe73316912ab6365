"""Brings Alertmanager's silences in line with the register of maintenance windows.

Beside the collector (`SilenceSync`) or by hand (`pantau-collector silence-sync`), also both: what
there is stands in Alertmanager, so a turn that finds everything as it should be changes nothing.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry, Gauge

from collector import contracts
from collector.alert_silences import AlertSilence, Basis, Held, Request, plan, wanted
from collector.contracts import Contracts
from collector.inventory import Inventory
from collector.ledger import LedgerError
from collector.ledger.sqlite import SqliteLedger
from collector.settings import (
    ALERTMANAGER_URL,
    AlertmanagerSettings,
    BasicAuth,
    Located,
    check_alertmanager,
    read,
)
from runtime.clock import SECOND, Clock
from runtime.settings import SettingsError, convert
from runtime.version import VERSION

log = logging.getLogger(__name__)
URL = re.compile(ALERTMANAGER_URL)
_MOST_TEXT = 4096
_HELD = msgspec.json.Decoder(list[Held])


class AlertmanagerError(ValueError):
    """Alertmanager was not reached, or did not do as it was asked; says which request and why."""


class Alertmanager:
    """Speaks API v2. Use as an async context."""

    def __init__(self, located: Located, settings: AlertmanagerSettings) -> None:
        self._located, self._settings = located, settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Alertmanager":
        """Raises AlertmanagerError where a file with a secret cannot be read."""
        try:
            connector = aiohttp.TCPConnector(ssl=self._tls(), limit=1)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            )
        except (OSError, ValueError) as error:
            raise AlertmanagerError(f"{self._settings.url}: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def _tls(self) -> ssl.SSLContext:
        settings, path = self._settings, self._located.path
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            context.load_verify_locations(path(settings.ca_file))
        if settings.cert_file is not None and settings.key_file is not None:
            context.load_cert_chain(path(settings.cert_file), path(settings.key_file))
        return context

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": f"pantau-collector/{VERSION}"}
        auth = self._settings.basic_auth
        if auth is not None:
            lines = self._located.path(auth.password_file).read_text().splitlines()
            password = lines[0].strip() if lines else ""
            headers["Authorization"] = aiohttp.encode_basic_auth(auth.username, password)
        return headers

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = f"{self._settings.url.rstrip('/')}/api/v2/{path}"
        assert self._session is not None
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    text = (await answer.content.read(_MOST_TEXT)).decode(errors="replace")
                    said = " ".join(text.split())[:300]
                    raise AlertmanagerError(f"{method} {url}: {answer.status} {said}".strip())
                return await answer.read()
        except (OSError, aiohttp.ClientError) as error:
            what = str(error) or type(error).__name__
            raise AlertmanagerError(f"{method} {url}: {what}") from error

    async def silences(self) -> list[Held]:
        """All that it has, expired ones too. Raises AlertmanagerError."""
        answer = await self._ask("GET", "silences")
        try:
            return _HELD.decode(answer)
        except msgspec.DecodeError as error:
            url = self._settings.url
            raise AlertmanagerError(
                f"{url}: no answer of Alertmanager's API v2: {error}"
            ) from error

    async def put(self, silence: AlertSilence, held: Held | None, now_s: float) -> None:
        """Create a silence, or change `held`. Raises AlertmanagerError."""
        await self._ask("POST", "silences", silence.body(held, now_s))

    async def end(self, held: Held) -> None:
        """Expire a silence. Raises AlertmanagerError."""
        await self._ask("DELETE", f"silence/{held.id}")


class Done(NamedTuple):
    """What one turn found and did."""

    requests: list[Request]
    wanted: int
    """Silences that there should be."""

    def lines(self) -> Iterator[str]:
        """One for each change."""
        for held, silence in self.requests:
            if silence is None:
                assert held is not None
                yield f"ended: {held.comment}"
            else:
                which = ", ".join(
                    f"{one.name}{'=~' if one.is_regex else '='}{one.value}"
                    for one in silence.matchers
                )
                word = "created" if held is None else "changed"
                yield f"{word}: {which}: {silence.comment}"


async def turn(
    basis: Basis, alertmanager: Alertmanager, clock: Clock, *, only_look: bool = False
) -> Done:
    """Compare once, and do what is missing. Raises AlertmanagerError."""
    now_s = clock.wall_ns() / SECOND
    silences = await asyncio.to_thread(wanted, basis, now_s)
    held = await alertmanager.silences()
    requests = plan(silences, held, basis.ledger_id, now_s)
    for before, after in () if only_look else requests:
        if after is not None:
            await alertmanager.put(after, before, now_s)
        elif before is not None:
            await alertmanager.end(before)
    return Done(requests, len(silences))


class SilenceSync:
    """Keeps Alertmanager's silences in line beside the collector, for as long as it runs."""

    def __init__(
        self,
        located: Located,
        ledger: SqliteLedger,
        promised: Callable[[], tuple[Inventory, Contracts]],
        registry: CollectorRegistry,
        clock: Clock,
    ) -> None:
        self._located, self._ledger = located, ledger
        self._promised, self._clock = promised, clock
        self._settings = located.settings.alertmanager
        self._failed = False
        if self._settings is not None:
            self._counters = SilenceCounters(registry)

    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What to run for ever; nothing where no Alertmanager is named."""
        return {} if self._settings is None else {"silence sync": self._run}

    async def _run(self) -> None:
        assert self._settings is not None
        while True:
            try:
                basis = await asyncio.to_thread(self._basis)
                async with Alertmanager(self._located, self._settings) as alertmanager:
                    done = await turn(basis, alertmanager, self._clock)
            except (AlertmanagerError, LedgerError) as error:
                level = logging.DEBUG if self._failed else logging.WARNING
                self._failed = True
                log.log(level, "maintenance windows are not silenced: %s", error)
            else:
                self._worked(done)
            await asyncio.sleep(self._settings.every_s)

    def _basis(self) -> Basis:
        entries = self._ledger.registers.maintenance()
        return Basis(entries, *self._promised(), self._ledger.ledger_id)

    def _worked(self, done: Done) -> None:
        if self._failed:
            log.info("maintenance windows are silenced again")
        self._failed = False
        for line in done.lines():
            log.info("silence %s", line)
        self._counters.silences.set(done.wanted)
        self._counters.synced_at.set(self._clock.wall_ns() / SECOND)


class SilenceCounters:
    """The sync's metrics about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.silences = Gauge(
            "pantau_collector_silences",
            "Alertmanager's silences for maintenance windows that are not over.",
            registry=registry,
        )
        self.synced_at = Gauge(
            "pantau_collector_silences_synced_timestamp_seconds",
            "When they were last found or put in line with the register.",
            registry=registry,
        )


# --- by hand ----------------------------------------------------------------------------------


class Told(NamedTuple):
    """What was said on the command line; it takes precedence over collector.yaml."""

    url: str | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    every_s: float | None = None


def _settings(located: Located, told: Told) -> AlertmanagerSettings:
    """Raises SettingsError."""
    known = located.settings.alertmanager
    fields: dict[str, Any] = {} if known is None else msgspec.to_builtins(known)
    if told.url is not None and URL.fullmatch(told.url) is None:
        raise SettingsError(f"--url: {told.url!r}: expected such as http://127.0.0.1:9093")
    if told.url is not None and known is not None and told.url != known.url:
        # Another Alertmanager is shown no secret that is meant for that of the settings.
        fields = {"timeout_s": known.timeout_s, "every_s": known.every_s}
    if (told.username is None) != (told.password_file is None):
        raise SettingsError("--username and --password-file go together")
    if told.username is not None and told.password_file is not None:
        fields["basic_auth"] = BasicAuth(
            username=told.username, password_file=str(told.password_file.absolute())
        )
    for name in ("ca_file", "cert_file", "key_file"):
        file: Path | None = getattr(told, name)
        if file is not None:
            fields[name] = str(file.absolute())
    fields |= {k: v for k, v in (("url", told.url), ("every_s", told.every_s)) if v is not None}
    if "url" not in fields:
        raise SettingsError(
            f"{located.file}: alertmanager: not there; expected its url, or --url, such as"
            " http://127.0.0.1:9093"
        )
    settings = convert(located.file, fields, AlertmanagerSettings, "alertmanager")
    check_alertmanager(located, settings)
    return settings


def _by_hand(located: Located, clock: Clock) -> Basis:
    """From the files and the ledger as they are now. Raises SettingsError or LedgerError."""
    settings = located.settings
    both = contracts.read_all(
        located.path(settings.nodes_file),
        located.path(settings.links_file),
        located.contracts_file,
        clock.wall_ns() / SECOND,
    )
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        return Basis(ledger.registers.maintenance(), *both, ledger.ledger_id)
    finally:
        ledger.close()


def once(config: Path, told: Told, clock: Clock, *, only_look: bool = False) -> Done:
    """One turn. Raises SettingsError, LedgerError or AlertmanagerError."""

    async def act() -> Done:
        located = read(config)
        settings = _settings(located, told)
        basis = _by_hand(located, clock)
        async with Alertmanager(located, settings) as alertmanager:
            return await turn(basis, alertmanager, clock, only_look=only_look)

    return asyncio.run(act())


def for_ever(
    config: Path,
    told: Told,
    clock: Clock,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Turn after turn, everything read anew for each; a turn that fails is said and repeated.

    Raises SettingsError where the settings are wrong from the beginning.
    """
    every_s = _settings(read(config), told).every_s
    failed = False
    while True:
        try:
            for line in once(config, told, clock).lines():
                say(line)
            if failed:
                say("in line again")
            failed = False
        except (SettingsError, LedgerError, AlertmanagerError) as error:
            if not failed:
                say(f"not done, tried again every {every_s:g} s: {error}")
            failed = True
        sleep(every_s)
