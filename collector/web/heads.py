"""Tree heads and their proofs over HTTP, as JSON (openapi.yaml): for everybody."""

import asyncio
import json
from typing import Any

from aiohttp import web

from collector.tree.letters import plain
from collector.tree.store import KeptHead, TreeStore

MOST = 1000


def _error(kind: type[web.HTTPError], text: str) -> web.HTTPError:
    return kind(text=json.dumps({"error": text}), content_type="application/json")


class HeadPages:
    """Routes for heads, inclusion and consistency."""

    def __init__(self, store: TreeStore, public_key: bytes) -> None:
        """`public_key` is the collector's, which signs the heads."""
        self._store, self._key = store, public_key.hex()

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        head = "/api/v1/heads/{id}"
        return [
            web.get("/api/v1/heads", self.heads),
            web.get(head, self.head),
            web.get(f"{head}/inclusion", self.inclusion),
            web.get(f"{head}/consistency", self.consistency),
        ]

    async def heads(self, request: web.Request) -> web.Response:
        """The newest heads, or those before one."""
        before, limit = _number(request, "before"), _number(request, "limit")
        found = await asyncio.to_thread(
            self._store.heads, before, min(MOST, 100 if limit is None else limit)
        )
        return web.json_response({"public_key": self._key, "heads": [plain(one) for one in found]})

    async def head(self, request: web.Request) -> web.Response:
        """One head with its timestamps."""
        one = await self._wanted(request)
        stamps = await asyncio.to_thread(self._store.timestamps, one.id)
        told: dict[str, Any] = plain(one) | {"public_key": self._key}
        told["timestamps"] = [
            {"authority": authority, "answer": answer.hex()} for authority, answer in stamps
        ]
        return web.json_response(told)

    async def inclusion(self, request: web.Request) -> web.Response:
        """That a batch is under the head: by its digest, as a receipt names it."""
        one = await self._wanted(request)
        text = request.query.get("batch", "")
        try:
            digest = bytes.fromhex(text)
        except ValueError:
            digest = b""
        if len(digest) != 32:
            raise _error(
                web.HTTPBadRequest, f"batch {text!r}: expected the digest as 64 hex digits"
            )
        place = await asyncio.to_thread(self._store.batch_place, digest)
        if place is None or place.position >= one.head.size:
            raise _error(web.HTTPNotFound, f"no batch {text} under head {one.id}")
        path = await asyncio.to_thread(self._store.inclusion, place.position, one.head.size)
        return web.json_response(
            {
                "head": one.id,
                "tree_size": one.head.size,
                "position": place.position,
                "leaf": place.leaf.hex(),
                "path": [node.hex() for node in path],
            }
        )

    async def consistency(self, request: web.Request) -> web.Response:
        """That the tree of an older head begins this one's."""
        new = await self._wanted(request)
        number = _number(request, "from")
        if number is None:
            raise _error(web.HTTPBadRequest, "from: expected the id of an older head")
        old = await self._known(str(number))
        if old.head.size > new.head.size:
            raise _error(web.HTTPBadRequest, f"from: head {old.id} is not older than {new.id}")
        path = await asyncio.to_thread(self._store.consistency, old.head.size, new.head.size)
        return web.json_response(
            {
                "from": old.id,
                "from_size": old.head.size,
                "head": new.id,
                "tree_size": new.head.size,
                "path": [node.hex() for node in path],
            }
        )

    async def _wanted(self, request: web.Request) -> KeptHead:
        return await self._known(request.match_info["id"])

    async def _known(self, text: str) -> KeptHead:
        number = None if text == "latest" else _parsed("id", text)
        found = await asyncio.to_thread(self._store.head, number)
        if found is None:
            raise _error(web.HTTPNotFound, f"no head {text}; see /api/v1/heads")
        return found


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    return None if text is None else _parsed(name, text)


def _parsed(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _error(web.HTTPBadRequest, f"{name} {text!r}: expected a number")
    return int(text)
