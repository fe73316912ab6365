"""GET /api/v1/sd: target groups for Prometheus' `http_sd_configs` (collector/web/openapi.yaml)."""

import json

import msgspec
from aiohttp import web

from collector.board import Board
from collector.discovery import Heard, Kind, groups
from runtime.clock import Clock


class DiscoveryPages:
    """Routes for Prometheus."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board, self._clock = board, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/api/v1/sd", self.targets)]

    async def targets(self, request: web.Request) -> web.Response:
        """The whole list each time, as the protocol demands; an empty one is `[]` and no error."""
        wanted = request.query.get("kind")
        try:
            kind = None if wanted is None else Kind(wanted)
        except ValueError:
            text = f"kind {wanted!r}: expected one of {', '.join(Kind)}"
            raise web.HTTPBadRequest(
                text=json.dumps({"error": text}), content_type="application/json"
            ) from None
        heard = [
            Heard(row.link.id, row.agent.agent_id.hex(), row.view.source_address)
            for row in self._board.rows(self._clock.boot_ns())
            if row.view is not None and row.agent is not None
        ]
        found = groups(self._board.fleet.inventory, heard, kind)
        response = web.Response(
            body=msgspec.json.encode(found), content_type="application/json", charset="utf-8"
        )
        response.enable_compression()
        return response
