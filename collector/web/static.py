"""Our own scripts and styles, from memory: names carry a digest, so browsers keep them for ever."""

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Of a drawing that is opened by itself."""


class _File(NamedTuple):
    data: bytes
    packed: bytes
    media: str


class StaticFiles:
    """Routes for browsers."""

    def __init__(self) -> None:
        # Read at start: a name in a request is looked up, and never becomes a path.
        self._files: dict[str, _File] = {}
        whole = hashlib.sha256()
        for file in sorted(FOLDER.rglob("*")):
            if file.suffix in _TYPES:
                data = file.read_bytes()
                name = str(file.relative_to(FOLDER))
                packed = gzip.compress(data, 9, mtime=0)
                self._files[name] = _File(data, packed, _TYPES[file.suffix])
                whole.update(name.encode() + b"\0" + data)
        # One digest for all: modules name each other by relative paths.
        self._digest = whole.hexdigest()[:16]

    def path(self, name: str) -> str:
        """Where a file is served. Raises KeyError for one that there is not."""
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self._digest}/{name}"

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/static/{digest}/{name:.+}", self.file)]

    async def file(self, request: web.Request) -> web.Response:
        """One file; 404 for any other name."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="no such file\n")
        # Of another version's digest the answer is this version's file, and not to be kept.
        kept = request.match_info["digest"] == self._digest
        headers = {
            "Content-Type": found.media,
            "Cache-Control": "public, max-age=31536000, immutable" if kept else "no-cache",
            "Content-Security-Policy": _POLICY,
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=found.packed, headers=headers)
        return web.Response(body=found.data, headers=headers)
