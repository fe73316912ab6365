"""What became of throughput tests on this box, and what they cost: survives restarts.

A test is booked, at the most that it can cost, before it begins; what it did not use is given back
when it has ended. So no crash, and no loop of crashes, makes tests exceed a month's budget or
repeat a test. Every change is in memory at once and on disk after `write`.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.jobs import Job
from runtime.files import write_durably
from wire.instant import Instant
from wire.localtime import local_month
from wire.message import (
    End,
    Figures,
    LinkTests,
    OrderProgress,
    OrderState,
)
from wire.plan import ThroughputPlan
from wire.slot import Direction, Method
from wire.transfer import Purpose

log = logging.getLogger(__name__)
FILE = "throughput.json"
KEEP_S = 3 * 86_400
"""How long it is remembered what became of a planned test: schedules look back one day."""
MAX_COUNT = 2**53


class Started(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a test that is under way, should this program end in it without a word."""

    link: str
    direction: Direction
    method: Method
    purpose: Purpose
    flows: int
    cir_bits_per_s: int
    load_s: float
    slot_id: str
    begun: Instant
    """When the slot was taken up."""
    loading: Instant | None = None
    """When load began; None: it had not."""


class Note(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One job."""

    link: str
    due_s: float | None = None
    tries: int = 0
    """Looks that found the users busy."""
    booked_bytes: int = 0
    begun_wall_ns: int | None = None
    started: Started | None = None
    """Whose evidence is owed; None before the test, and when it has been given."""
    end: End | None = None


class Page(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One link."""

    drawn: str = ""
    """What of the plan decides the times; another plan draws other days."""
    since_s: float = 0.0
    """Tests due earlier were none of this plan's."""
    month: str = ""
    used_bytes: int = 0
    last_test_wall_ns: int | None = None
    ends: dict[End, int] = {}
    deferred: int = 0


class _Book(msgspec.Struct, kw_only=True, omit_defaults=True):
    pages: dict[str, Page] = {}
    notes: dict[str, Note] = {}
    orders: dict[str, OrderProgress] = {}


class Logbook:
    """All links of this box."""

    def __init__(self, state_dir: Path) -> None:
        """What is on disk; a damaged file is begun anew (the hub keeps the budget as well)."""
        self._file = state_dir / FILE
        try:
            self._book = msgspec.json.decode(self._file.read_bytes(), type=_Book)
        except FileNotFoundError:
            self._book = _Book()
        except (OSError, ValueError) as error:
            log.error("%s: %s; the logbook is begun anew", self._file, error)
            self._book = _Book()
        self._interrupted()

    def _interrupted(self) -> None:
        """What was begun when this program ended is not done again."""
        for key, note in self._book.notes.items():
            if note.begun_wall_ns is None or note.end is not None:
                continue
            note.end = End.FAILED
            self._count(self.page(note.link), End.FAILED)
            order_id = _order_of(key)
            if order_id in self._book.orders:
                detail = "the agent ended during the test"
                self.tell(order_id, OrderState.FAILED, detail)

    def encoded(self) -> bytes:
        """All of it as it is now, for `write`."""
        return msgspec.json.encode(self._book)

    def write(self, encoded: bytes) -> None:
        """Make it durable; may run in a thread. Raises OSError."""
        write_durably(self._file, encoded)

    # --- one link ---------------------------------------------------------------------------

    def page(self, link: str) -> Page:
        """The link's page."""
        return self._book.pages.setdefault(link, Page())

    def turn(self, plan: ThroughputPlan, wall_s: float) -> bool:
        """The time is known: begin a new month, or a new plan, where it is one; whether it was."""
        page = self.page(plan.link)
        before = page.month, page.drawn
        month = local_month(wall_s, plan.zone_offset_s)
        if month > page.month:
            # A month that is not known yet is this one: the box has just learnt the time.
            page.used_bytes = page.used_bytes if page.month == "" else 0
            page.month = month
        drawn = _drawn(plan)
        if drawn != page.drawn:
            page.drawn, page.since_s = drawn, wall_s
        return before != (page.month, page.drawn)

    def room(self, job: Job) -> bool:
        """Whether the budget has room for it."""
        return self.page(job.plan.link).used_bytes + job.cost_bytes() <= job.plan.budget_bytes

    # --- one job ----------------------------------------------------------------------------

    def note(self, key: str) -> Note | None:
        """What is known of a job."""
        return self._book.notes.get(key)

    def _write(self, job: Job) -> Note:
        return self._book.notes.setdefault(job.key, Note(link=job.plan.link, due_s=job.due_s))

    def defer(self, job: Job) -> None:
        """The users were busy."""
        self._write(job).tries += 1
        self.page(job.plan.link).deferred += 1

    def begin(self, job: Job, slot_id: str, now: Instant) -> None:
        """Book the most that it can cost; to be saved before the first packet."""
        note = self._write(job)
        note.begun_wall_ns, note.booked_bytes = now.wall_ns, job.cost_bytes()
        note.started = Started(
            link=job.plan.link,
            direction=job.direction,
            method=job.method,
            purpose=job.purpose,
            flows=job.flows,
            cir_bits_per_s=job.cir_ip,
            load_s=job.load_s,
            slot_id=slot_id,
            begun=now,
        )
        self.page(job.plan.link).used_bytes += note.booked_bytes

    def unbegin(self, job: Job) -> None:
        """It could not be saved, so it does not begin."""
        note = self._write(job)
        self.page(job.plan.link).used_bytes -= note.booked_bytes
        note.begun_wall_ns, note.booked_bytes, note.started = None, 0, None

    def loading(self, job: Job, now: Instant) -> None:
        """Its load begins."""
        note = self._write(job)
        if note.started is not None:
            note.started = msgspec.structs.replace(note.started, loading=now)

    def owed(self) -> list[Started]:
        """Tests that have begun and of which no evidence was given; at a beginning, those in which
        the former life ended."""
        return [note.started for note in self._book.notes.values() if note.started is not None]

    def given(self, tests: Sequence[Started]) -> None:
        """Their evidence is durable."""
        for note in self._book.notes.values():
            if note.started in tests:
                note.started = None

    def settle(self, job: Job, end: End, carried_bytes: int | None = None) -> None:
        """What became of it; `carried_bytes` None: not known, all that was booked is spent."""
        note, page = self._write(job), self.page(job.plan.link)
        if carried_bytes is not None:
            # Not below zero: the month may have turned since it was booked.
            page.used_bytes = max(0, page.used_bytes + carried_bytes - note.booked_bytes)
        if end in (End.DONE, End.UNFIT):
            page.last_test_wall_ns = note.begun_wall_ns
        note.end, note.started = end, None
        self._count(page, end)

    def _count(self, page: Page, end: End) -> None:
        page.ends[end] = page.ends.get(end, 0) + 1

    def forget(self, wall_s: float) -> None:
        """Drop what no schedule will ask for again."""
        self._book.notes = {
            key: note
            for key, note in self._book.notes.items()
            if _still_asked(key, note, wall_s, self._book.orders)
        }

    # --- orders -----------------------------------------------------------------------------

    @property
    def orders(self) -> dict[str, OrderProgress]:
        """How far each order is."""
        return self._book.orders

    def tell(self, order_id: str, state: OrderState, detail: str = "") -> bool:
        """Note how far an order is; whether that is news."""
        known = self._book.orders.get(order_id)
        figures = () if known is None else known.figures
        told = OrderProgress(order_id=order_id, state=state, detail=detail[:256], figures=figures)
        self._book.orders[order_id] = told
        return told != known

    def figure(self, order_id: str, figures: Figures) -> None:
        """Add what one direction gave."""
        known = self._book.orders[order_id]
        self._book.orders[order_id] = msgspec.structs.replace(
            known, figures=(*known.figures, figures)
        )

    def keep_orders(self, order_ids: set[str]) -> None:
        """Forget all others: the hub has heard of them, or withdrew them."""
        gone = self._book.orders.keys() - order_ids
        for order_id in gone:
            del self._book.orders[order_id]

    def told(self, plan: ThroughputPlan) -> LinkTests:
        """For the status."""
        page = self.page(plan.link)
        return LinkTests(
            link=plan.link,
            month=page.month,
            used_bytes=min(MAX_COUNT, page.used_bytes),
            budget_bytes=plan.budget_bytes,
            last_test_wall_ns=page.last_test_wall_ns,
            ends={end: page.ends.get(end, 0) for end in End},
            deferred=page.deferred,
        )


def _still_asked(key: str, note: Note, wall_s: float, orders: Mapping[str, OrderProgress]) -> bool:
    if note.started is not None:
        return True
    if note.due_s is None:
        return _order_of(key) in orders
    return note.due_s > wall_s - KEEP_S


def _order_of(key: str) -> str:
    """The order_id in an order's key (agent.jobs.order_key); empty for a planned test's."""
    word, _, rest = key.partition(" ")
    return rest.partition(" ")[0] if word == "order" else ""


def _drawn(plan: ThroughputPlan) -> str:
    told = (
        plan.zone_offset_s,
        plan.evening_tests,
        plan.office_tests,
        plan.night_tests,
        plan.long_s,
        plan.duration_s,
        plan.down_bits_per_s is None,
        plan.up_bits_per_s is None,
    )
    return repr(told)
