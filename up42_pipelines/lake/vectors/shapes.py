"""Geometries of GeoJSON, strictly: what is no geometry is refused, never read as another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from up42_pipelines.errors import InvalidDelivery

Array = np.ndarray[Any, np.dtype[np.float64]]

_DEEPEST = 8
"""Collections in collections; RFC 7946, section 3.1.8, advises against any."""


class ShapeReader:
    """Makes shapely geometries, and counts what it had to change."""

    def __init__(self) -> None:
        self._closed = self._cut = 0
        self._makers: dict[str, Callable[[Any], BaseGeometry]] = {
            "Point": lambda at: shapely.Point(self._positions([at])[0]) if at != [] else shapely.Point(),
            "LineString": lambda line: shapely.LineString(self._positions(line)),
            "Polygon": self._polygon,
            "MultiPoint": lambda points: shapely.MultiPoint(self._positions(points)),
            "MultiLineString": lambda lines: shapely.MultiLineString(
                [self._positions(line) for line in self._list(lines)]
            ),
            "MultiPolygon": lambda polygons: shapely.MultiPolygon(
                [self._polygon(polygon) for polygon in self._list(polygons)]
            ),
        }

    def read(self, document: Any, depth: int = 0) -> BaseGeometry:
        """The geometry of a GeoJSON geometry object.

        Raises:
            InvalidDelivery: it is none.
        """
        kind = document.get("type") if isinstance(document, dict) else None
        if kind == "GeometryCollection" and depth < _DEEPEST:
            return shapely.GeometryCollection(
                [self.read(part, depth + 1) for part in self._list(document.get("geometries"))]
            )
        make = self._makers.get(kind) if isinstance(kind, str) else None
        if make is None:
            raise InvalidDelivery(f"its geometry is of no known type, but {str(kind)[:40]!r}.")
        try:
            return make(document.get("coordinates"))
        except (ValueError, TypeError, ShapelyError) as error:
            raise InvalidDelivery(
                f"its coordinates are no {kind}: {' '.join(str(error).split())[:120].rstrip('.')}."
            ) from error

    def notes(self) -> tuple[str, ...]:
        """What was changed, one sentence each."""
        notes = []
        if self._closed:
            notes.append(f"{self._closed} ring(s) did not end where they began, and were closed.")
        if self._cut:
            notes.append(f"{self._cut} list(s) of positions had more than three numbers each; three are kept.")
        return tuple(notes)

    def _polygon(self, rings: Any) -> shapely.Polygon:
        shells = [self._positions(ring) for ring in self._list(rings)]
        self._closed += sum(len(ring) > 0 and not np.array_equal(ring[0], ring[-1]) for ring in shells)
        return shapely.Polygon(shells[0], shells[1:]) if shells else shapely.Polygon()

    def _positions(self, positions: Any) -> Array:
        """Positions as an array, shape (position, 2 or 3)."""
        if positions == []:
            return np.empty((0, 2))
        array = np.asarray(self._list(positions))  # of unequal lengths: a ValueError
        if array.ndim != 2 or array.dtype.kind not in "iuf" or array.shape[1] < 2:
            raise ValueError("a position is not two or three numbers")
        if array.shape[1] > 3:
            self._cut += 1
            array = array[:, :3]
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise ValueError("a position is not finite")
        return array

    @staticmethod
    def _list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("a list is missing")  # noqa: TRY004 - told as what is wrong with the file
        return value
