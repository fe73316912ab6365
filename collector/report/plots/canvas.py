"""A small SVG canvas: shapes in user units, text escaped, two decimals. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 720.0
"""All pictures are as wide as the text of an A4 page."""
INK = "#222222"
FAINT = "#c8c8c8"
STATES = {
    "up": "#dcefe2",
    "degraded": "#e9c46a",
    "down": "#b3261e",
    "excluded": "#6f8fbf",
    "unknown": "#a9a9a9",
}
"""Told apart in grey print and by eyes that see no red: by lightness as well as by hue."""
Point = tuple[float, float]


def place(value: float) -> str:
    """A coordinate, the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


class Canvas:
    """Collects shapes."""

    def __init__(self, height: float, title: str) -> None:
        self._height, self._title = height, title
        self._shapes: list[str] = []

    def rect(self, at: Point, size: Point, fill: str, title: str = "") -> None:
        """A filled box; `title` is what a pointer over it shows."""
        x, y, w, h = (place(one) for one in (*at, *size))
        told = f"<title>{escape(title)}</title>" if title else ""
        self._shapes.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}">{told}</rect>'
        )

    def line(self, start: Point, end: Point, stroke: str = FAINT, dash: str = "") -> None:
        """A straight line."""
        x1, y1, x2, y2 = (place(one) for one in (*start, *end))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._shapes.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{stroke}"{dashes}/>'
        )

    def path(self, points: Sequence[Point], stroke: str, width: float = 1.2) -> None:
        """A line through all points."""
        if len(points) > 1:
            told = " ".join(f"{place(x)},{place(y)}" for x, y in points)
            self._shapes.append(
                f'<polyline points="{told}" fill="none" stroke="{stroke}"'
                f' stroke-width="{place(width)}"/>'
            )
        elif points:
            self.dot(points[0], 1.2, stroke)

    def band(self, lower: Sequence[Point], upper: Sequence[Point], fill: str) -> None:
        """The area between two lines."""
        if len(lower) > 1:
            told = " ".join(f"{place(x)},{place(y)}" for x, y in (*lower, *reversed(upper)))
            self._shapes.append(f'<polygon points="{told}" fill="{fill}"/>')

    def dot(self, at: Point, radius: float, fill: str) -> None:
        """A small disc."""
        x, y, r = (place(one) for one in (*at, radius))
        self._shapes.append(f'<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}"/>')

    def text(self, at: Point, words: str, anchor: str = "start", size: float = 9) -> None:
        """Words at their base line."""
        x, y = (place(one) for one in at)
        self._shapes.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{place(size)}"'
            f' fill="{INK}">{escape(words)}</text>'
        )

    def legend(self, at: Point, entries: Iterable[tuple[str, str]]) -> None:
        """Colours and what they mean, in a row."""
        x, y = at
        for fill, words in entries:
            self.rect((x, y - 7), (8, 8), fill)
            self.text((x + 11, y), words, size=8)
            x += 20 + 4.6 * len(words)

    def svg(self) -> str:
        """The picture."""
        shapes = "".join(self._shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {place(WIDTH)}'
            f' {place(self._height)}" role="img" font-family="DejaVu Sans, sans-serif">'
            f"<title>{escape(self._title)}</title>{shapes}</svg>"
        )


def steps(highest: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least `highest`, for an axis."""
    if highest <= 0:
        return [0.0, 1.0]
    size = 10.0**-9
    while True:
        for factor in (1, 2, 5):
            step = size * factor
            if highest / step <= most:
                count = int(-(-highest // step))
                return [step * k for k in range(count + 1)]
        size *= 10
