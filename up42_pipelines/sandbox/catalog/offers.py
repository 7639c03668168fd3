"""Everything on sale: the collections whose scenes exist, and the one whose scenes are still to be taken."""

from __future__ import annotations

from dataclasses import dataclass

from up42_pipelines.sandbox.catalog.products import TASKING, Collection, DataProduct
from up42_pipelines.sandbox.world import Source, World


@dataclass(frozen=True)
class Offer:
    """A data product and where it comes from; `source` is None when its scenes are still to be taken."""

    collection: Collection
    product: DataProduct
    source: Source | None


def collections(world: World) -> list[Collection]:
    """List the collections of the catalogue."""
    return [*(source.collection for source in world.sources), TASKING]


def find(world: World, product_id: str) -> Offer | None:
    """Find a data product."""
    if found := world.products.get(product_id):
        source, product = found
        return Offer(source.collection, product, source)
    return next((Offer(TASKING, product, None) for product in TASKING.products if product.id == product_id), None)
