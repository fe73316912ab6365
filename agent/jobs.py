"""One thing to test: a direction of a planned test or of an order. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.gate import Cross
from agent.plan import LATEST_S, Leg, Stratum
from wire.plan import Load, Order, ThroughputPlan, load_bytes
from wire.slot import Direction, Method
from wire.transfer import Purpose

LEAST_BITS_PER_S = 10_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to load, and how."""

    key: str
    """By which the logbook knows it; the same after a restart."""
    plan: ThroughputPlan
    direction: Direction
    method: Method
    duration_s: float
    """Seconds of each step."""
    flows: int
    load: Load = Load.FIXED
    bits_per_s: int | None = None
    """IP rate, or the most of a search; None: by the plan."""
    steps: tuple[float, ...] = ()
    gate: bool = True
    """Whether it waits for users."""
    order_id: str | None = None
    stratum: Stratum | None = None
    due_s: float | None = None
    """Unix time; None for an order, which is due since it came."""

    @property
    def load_s(self) -> float:
        """Seconds of load."""
        return self.duration_s * max(1, len(self.steps))

    @property
    def purpose(self) -> Purpose:
        """Why it is made: what searches, or climbs to the whole CIR, is for acceptance."""
        if self.order_id is None:
            return Purpose.PLANNED
        return Purpose.ORDERED if self.load is Load.FIXED else Purpose.ACCEPTANCE

    @property
    def until_s(self) -> float | None:
        """Unix time by which it must have begun."""
        return None if self.due_s is None else self.due_s + LATEST_S

    @property
    def cir_ip(self) -> int:
        """The promised rate in IP packets, bits per second."""
        promised = self.plan.cir_ip(self.direction)
        assert promised is not None, "no job is made for a direction without a rate"
        return promised

    def rate(self, seen: Cross | None) -> int:
        """The most that will be sent, IP bits per second, with users taking `seen`."""
        over = self.plan.most(self.direction) or LEAST_BITS_PER_S
        if self.load is Load.STEPS:
            return round(max(self.steps) * self.cir_ip)
        if self.bits_per_s is not None:
            return min(self.bits_per_s, over)
        if self.load is Load.SEARCH or self.method is not Method.UDP:
            return over
        taken = 0.0 if seen is None else seen.of(self.direction)
        return max(LEAST_BITS_PER_S, round(self.plan.share * (self.cir_ip - taken)))

    def cost_bytes(self) -> int:
        """The most that it can take of the budget."""
        return load_bytes(self.rate(None), self.load_s)


def job_of_leg(leg: Leg, plan: ThroughputPlan) -> Job:
    """A planned test's direction."""
    return Job(
        key=leg.leg_id,
        plan=plan,
        direction=leg.direction,
        method=plan.method,
        duration_s=leg.duration_s,
        flows=plan.flows,
        stratum=leg.stratum,
        due_s=leg.due_s,
    )


def jobs_of_order(order: Order, plan: ThroughputPlan) -> Iterator[Job]:
    """An order's directions, those that the plan has a rate for, in the order's order."""
    for direction in order.directions:
        if plan.cir(direction) is not None:
            yield Job(
                key=order_key(order.order_id, direction),
                plan=plan,
                direction=direction,
                method=order.method,
                duration_s=order.duration_s,
                flows=order.flows,
                load=order.load,
                bits_per_s=order.bits_per_s,
                steps=order.steps,
                gate=order.gate,
                order_id=order.order_id,
            )


def order_key(order_id: str, direction: Direction) -> str:
    """The key of an order's job."""
    return f"order {order_id} {direction}"
