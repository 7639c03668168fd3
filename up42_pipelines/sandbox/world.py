"""What one running sandbox consists of, and where its scenes come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.catalog.products import Collection, DataProduct
from up42_pipelines.sandbox.control.faults import FaultBook
from up42_pipelines.sandbox.core.clock import Clock
from up42_pipelines.sandbox.core.database import Database
from up42_pipelines.sandbox.imagery.scenes import Scene


class Source(Protocol):
    """A collection with its scenes, and what an order of one of them contains."""

    @property
    def collection(self) -> Collection:
        """What the catalogue says about it."""

    def find(self, area: BaseGeometry, first: datetime, last: datetime) -> Iterator[Scene]:
        """Yield the scenes that touch an area (degrees) between two times, newest first."""

    def scene(self, scene_id: str) -> Scene | None:
        """Find a scene."""

    def preview(self, scene: Scene, max_side: int) -> bytes | None:
        """Draw the full scene as JPEG; None when there is nothing to show."""

    def content(self, scene: Scene, product: DataProduct, aoi: Polygon | None, part: int) -> dict[str, Any]:
        """Describe one delivery so that it can be made later, by another process, without the catalogue."""


@dataclass(frozen=True)
class World:
    """Everything a request may need.

    Attributes:
        database: what must survive.
        state: folder of the database; delivered files lie beside it.
        sources: the collections on offer.
        seed: decides the scenes and the fate of orders.
        speed: simulated seconds per real second, for orders placed from now on.
        now: the time; calling it returns microseconds since 1970.
        faults: what goes wrong on request; in memory only.
    """

    database: Database
    state: Path
    sources: tuple[Source, ...]
    seed: int
    speed: float
    now: Clock
    faults: FaultBook = field(default_factory=FaultBook)

    @property
    def products(self) -> dict[str, tuple[Source, DataProduct]]:
        """Every data product by its id, with the source it belongs to."""
        return {product.id: (source, product) for source in self.sources for product in source.collection.products}

    def scene(self, scene_id: str) -> tuple[Source, Scene] | None:
        """Find a scene and the source it comes from."""
        for source in self.sources:
            if scene := source.scene(scene_id):
                return source, scene
        return None
