"""Where nodes are on a flat drawing: which corner is dark needs no map from outside. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

WIDTH = 1000.0
MARGIN = 60.0
_KM_PER_DEGREE = 111.195
"""Of latitude, on a sphere of the earth's mean radius (6371.0088 km)."""
_ROUND_KM = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


class Place(NamedTuple):
    """A node, in units of the drawing."""

    x: float
    y: float


class Region(NamedTuple):
    """A district: the outline around its nodes, and where its name stands."""

    name: str
    outline: tuple[Place, ...]
    label: Place


class Atlas(NamedTuple):
    """A drawing WIDTH wide."""

    height: float
    places: dict[str, Place]
    """By node."""
    regions: tuple[Region, ...]
    scale_km: float
    """What the scale bar says."""
    scale: float
    """How long it is, in units of the drawing."""


def _cross(o: Place, a: Place, b: Place) -> float:
    return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x)


def hull(points: Iterable[Place]) -> tuple[Place, ...]:
    """Convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return tuple(ordered)
    halves: list[list[Place]] = []
    for way in (ordered, ordered[::-1]):
        half: list[Place] = []
        for point in way:
            while len(half) > 1 and _cross(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves.append(half[:-1])
    return tuple(halves[0] + halves[1])


def atlas(
    nodes: Mapping[str, tuple[float | None, float | None, str]],
) -> Atlas | None:
    """Of nodes by (latitude, longitude, district); None where none has a place.

    Equirectangular about the middle latitude: a district is small.
    """
    known = {
        node: (latitude, longitude, district)
        for node, (latitude, longitude, district) in nodes.items()
        if latitude is not None and longitude is not None
    }
    if not known:
        return None
    south, north = (f(one[0] for one in known.values()) for f in (min, max))
    west, east = (f(one[1] for one in known.values()) for f in (min, max))
    squeeze = math.cos(math.radians((south + north) / 2))
    wide, high = max((east - west) * squeeze, 1e-3), max(north - south, 1e-3)
    # Neither a ribbon nor a tower: a drawing must fit a wall and a phone.
    unit = min((WIDTH - 2 * MARGIN) / wide, (0.75 * WIDTH - 2 * MARGIN) / high)
    height = max(0.4 * WIDTH, high * unit + 2 * MARGIN)
    left, top = (WIDTH - wide * unit) / 2, (height - high * unit) / 2
    places = {
        node: Place(
            round(left + (longitude - west) * squeeze * unit, 1),
            round(top + (north - latitude) * unit, 1),
        )
        for node, (latitude, longitude, _) in known.items()
    }
    districts: dict[str, list[Place]] = {}
    for node, (_, _, district) in known.items():
        districts.setdefault(district, []).append(places[node])
    per_km = unit / _KM_PER_DEGREE
    km = max((one for one in _ROUND_KM if one * per_km <= WIDTH / 5), default=_ROUND_KM[0])
    return Atlas(
        round(height, 1),
        places,
        tuple(_region(name, districts[name]) for name in sorted(districts)),
        km,
        round(km * per_km, 1),
    )


def _region(name: str, points: list[Place]) -> Region:
    x = round(sum(one.x for one in points) / len(points), 1)
    return Region(name, hull(points), Place(x, min(one.y for one in points)))
