"""Operators' orders from the first word to the figures: pure, `now` is an argument.

An order is at the hub until its agent has said how it ended, or until nobody wants it any more. A
final state stays; what an agent says of another node's orders is not heard.
"""

from collections.abc import Iterable

import msgspec

from wire.message import FINAL, MAX_ORDERS, Figures, OrderProgress, OrderState
from wire.plan import Order

NS = 1_000_000_000
EXPIRES_S = 24 * 3600
"""An order that is not done within a day is not what the operator wanted any more."""
ROUND_EXPIRES_S = 45 * 60
"""Of an order in an experiment, for which others wait: three looks at the users and no more."""
KEPT = 1000
"""Ended orders that are remembered."""
_TOLD_BY_AGENTS = frozenset(OrderState) - {
    OrderState.QUEUED,
    OrderState.CANCELLED,
    OrderState.EXPIRED,
}


class Standing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One order and how far it is."""

    order: Order
    node: str
    created_wall_ns: int
    state: OrderState = OrderState.QUEUED
    detail: str = ""
    figures: tuple[Figures, ...] = ()
    changed_wall_ns: int | None = None
    """When it last came further."""
    experiment_id: str | None = None
    group: str | None = None
    """Orders of one group begin at the same moment."""
    group_size: int = 1

    @property
    def final(self) -> bool:
        """Whether it has come to its end."""
        return self.state in FINAL

    @property
    def until_wall_ns(self) -> int:
        """When it expires."""
        expires_s = EXPIRES_S if self.experiment_id is None else ROUND_EXPIRES_S
        return self.created_wall_ns + expires_s * NS


class OrderBook:
    """All orders."""

    def __init__(self, kept: Iterable[Standing] = ()) -> None:
        in_order = sorted(kept, key=lambda one: (one.created_wall_ns, one.order.order_id))
        self._orders = {one.order.order_id: one for one in in_order}

    def add(self, one: Standing) -> None:
        """Take a new order."""
        self._orders[one.order.order_id] = one

    def get(self, order_id: str) -> Standing | None:
        """The order of this id."""
        return self._orders.get(order_id)

    def all(self) -> list[Standing]:
        """The oldest first."""
        return list(self._orders.values())

    def of(self, node: str) -> tuple[Order, ...]:
        """What the node's agent is to do, as many as it can be told at once."""
        standing = (
            one.order for one in self._orders.values() if one.node == node and not one.final
        )
        return tuple(standing)[:MAX_ORDERS]

    def hear(self, node: str, told: OrderProgress, wall_ns: int) -> Standing | None:
        """The agent of `node` says how far an order is; the order if that is news."""
        known = self._orders.get(told.order_id)
        if known is None or known.node != node or known.final:
            return None
        if told.state not in _TOLD_BY_AGENTS:
            return None
        same = (known.state, known.detail, known.figures)
        if same == (told.state, told.detail, told.figures):
            return None
        return self._change(
            known, wall_ns, state=told.state, detail=told.detail, figures=told.figures
        )

    def left_behind(self, one: Standing) -> bool:
        """Whether the others of its group have had their moment, which does not come again."""
        return one.group is not None and any(
            other.final for other in self._orders.values() if other.group == one.group
        )

    def cancel(self, order_id: str, wall_ns: int) -> Standing | None:
        """Withdraw an order; None where there is none that could be withdrawn."""
        known = self._orders.get(order_id)
        if known is None or known.final:
            return None
        return self._change(known, wall_ns, state=OrderState.CANCELLED)

    def expire(self, wall_ns: int) -> list[Standing]:
        """End the orders that have waited too long."""
        late = [
            one for one in self._orders.values() if not one.final and one.until_wall_ns < wall_ns
        ]
        return [
            self._change(one, wall_ns, state=OrderState.EXPIRED, detail=f"last: {one.state}")
            for one in late
        ]

    def trim(self) -> list[str]:
        """Forget the oldest of those that have ended; returns their ids."""
        ended = [order_id for order_id, one in self._orders.items() if one.final]
        gone = ended[: max(0, len(ended) - KEPT)]
        for order_id in gone:
            del self._orders[order_id]
        return gone

    def _change(self, known: Standing, wall_ns: int, **changes: object) -> Standing:
        changed = msgspec.structs.replace(known, changed_wall_ns=wall_ns, **changes)
        self._orders[known.order.order_id] = changed
        return changed
