"""GET /: every link as it is known now."""

from aiohttp import web

from collector.board import Board
from collector.web.render import Renderer
from runtime.clock import Clock


class BoardPages:
    """Routes for people who watch."""

    def __init__(self, board: Board, renderer: Renderer, clock: Clock) -> None:
        self._board, self._renderer, self._clock = board, renderer, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/", self.board)]

    async def board(self, request: web.Request) -> web.Response:
        """All links."""
        rows = list(self._board.rows(self._clock.boot_ns()))
        return self._renderer.page(request, "board.html", {"rows": rows})
