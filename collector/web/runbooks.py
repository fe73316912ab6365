"""GET /runbooks/NAME: what an alert means and what to do, where its `runbook_url` points.

The texts are part of the package: they must be readable when the network outside is not.
"""

from pathlib import Path

from aiohttp import web
from markdown_it import MarkdownIt

TEXTS = Path(__file__).with_name("runbooks")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_PAGE = """<!doctype html><html lang="id"><head><meta charset="utf-8">
<title>{name}</title><meta name="viewport" content="width=device-width">
<style>body{{font:16px system-ui,sans-serif;margin:2rem auto;max-width:45rem;padding:0 1rem}}
code{{background:#8882;padding:0 .2rem}}</style></head><body>
{text}<p><a href="/">Pantau</a></p></body></html>
"""


def render(name: str, text: str) -> str:
    """A page of CommonMark; HTML in it is shown and not obeyed."""
    # "js-default" is the preset for texts that are not trusted: no HTML, no javascript: links.
    return _PAGE.format(name=name, text=MarkdownIt("js-default").render(text))


class RunbookPages:
    """Routes for whoever was woken."""

    def __init__(self) -> None:
        # Read at start: a name in a request is looked up, and never becomes a path.
        self._texts = {file.stem: file.read_text("utf-8") for file in TEXTS.glob("*.md")}

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/runbooks/{name}", self.runbook)]

    async def runbook(self, request: web.Request) -> web.Response:
        """The runbook of one alert; 404 for any other name."""
        name = request.match_info["name"]
        text = self._texts.get(name)
        if text is None:
            raise web.HTTPNotFound(text="no such runbook\n")
        return web.Response(
            text=render(name, text),
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": POLICY},
        )
