"""GET /: every link as it is known now, as list, tiles and map; GET /board/events keeps it so."""

from typing import Any

from aiohttp import web

from collector.answers import Answers
from collector.board import Board
from collector.inventory import Inventory
from collector.smoke import LOSS_STEPS
from collector.web.atlas import WIDTH, Atlas, atlas
from collector.web.feed import LEVELS, Feed
from collector.web.guard import Guard
from collector.web.render import IANA, Renderer, Texts


class BoardPages:
    """Routes for people who watch."""

    def __init__(
        self, board: Board, answers: Answers, feed: Feed, renderer: Renderer, guard: Guard
    ) -> None:
        self._board, self._answers, self._feed = board, answers, feed
        self._renderer, self._guard = renderer, guard
        self._drawn: tuple[Inventory, Atlas | None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/", self.board), web.get("/board/events", self.events)]

    async def board(self, request: web.Request) -> web.Response:
        """All links."""
        inventory, snapshot = self._board.fleet.inventory, self._feed.snapshot()
        t = self._renderer.texts(request)
        data = {
            "mark": snapshot.mark,
            "language": t.language,
            "links": [self._fixed(link) for link in inventory.links.values()],
            "rows": snapshot.rows,
            "sparks": snapshot.sparks,
            "levels": LEVELS,
            "steps": len(LOSS_STEPS) + 1,
            "texts": _texts(t),
            "atlas": self._atlas(inventory),
        }
        return await self._renderer.page(request, "board.html", {"data": data})

    def _fixed(self, link: Any) -> list[str]:
        """What of a row does not change; the order is the script's."""
        node = self._board.fleet.inventory.nodes[link.node]
        zone = self._answers.zone(link.id)
        return [
            link.id,
            node.id,
            node.name,
            node.kind,
            node.district,
            link.provider,
            link.pop,
            link.medium,
            IANA[zone],
        ]

    def _atlas(self, inventory: Inventory) -> dict[str, Any] | None:
        if self._drawn is None or self._drawn[0] is not inventory:
            used = {link.node for link in inventory.links.values()}
            places = {
                node.id: (node.latitude, node.longitude, node.district)
                for node in inventory.nodes.values()
                if node.id in used
            }
            self._drawn = inventory, atlas(places)
        found = self._drawn[1]
        if found is None:
            return None
        return {"width": WIDTH, **found._asdict()}

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What changes from now on."""
        return await self._feed.stream(request, lambda: self._guard.still_allowed(request))


def _texts(t: Texts) -> dict[str, str]:
    """For the script: its own, and the closed sets that rows name."""
    return t.of("board.", "state.", "reason.", "cause.", "kind.", "unit.")
