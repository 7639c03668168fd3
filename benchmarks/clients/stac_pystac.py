"""pystac: `python -m benchmarks.clients.stac_pystac NDJSON FOLDER` validates items and saves a catalogue."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pystac

from benchmarks.work import work


def main() -> None:
    """Read, validate, save.

    Validated by the core schema alone: for the extensions pystac would fetch schemas from the network.
    """
    source, folder = sys.argv[1:]
    with work(), open(source) as lines:  # noqa: PTH123
        extent = pystac.Extent(
            pystac.SpatialExtent([[-180.0, -90.0, 180.0, 90.0]]),
            pystac.TemporalExtent([[datetime(2016, 1, 1, tzinfo=UTC), None]]),
        )
        collection = pystac.Collection("benchmark", "For the benchmark.", extent)
        for line in lines:
            item = pystac.Item.from_dict(json.loads(line), preserve_dict=False)
            extensions, item.stac_extensions = item.stac_extensions, []
            item.validate()
            item.stac_extensions = extensions
            collection.add_item(item)
        catalog = pystac.Catalog("benchmark", "For the benchmark.")
        catalog.add_child(collection)
        catalog.normalize_and_save(folder, pystac.CatalogType.SELF_CONTAINED)


if __name__ == "__main__":
    main()
