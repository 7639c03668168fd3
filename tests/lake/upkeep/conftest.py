"""Lakes with a few items whose files are really there."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

import pystac
import pytest

from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac.catalog import item_folder, write_items, write_withheld


@pytest.fixture
def lake():
    return Lake(f"memory://{uuid.uuid4()}")


@pytest.fixture(scope="session")
def land():
    """`land(lake, "a", files={"a.tif": b"..."}, withheld=False)`: files, then an item that describes them."""

    def make(lake, name, *, files=None, collection="c", withheld=False, cloud=5.0):
        item = pystac.Item(
            name,
            {"type": "Point", "coordinates": [13.0, 52.0]},
            [13.0, 52.0, 13.0, 52.0],
            datetime(2024, 5, 1, tzinfo=UTC),
            {"eo:cloud_cover": cloud},
            collection=collection,
        )
        item.add_link(pystac.Link("collection", "../collection.json", "application/json"))
        for file, content in (files or {f"{name}.tif": name.encode() * 100}).items():
            lake.write_bytes(content, *item_folder(collection, name), file)
            checksum = f"1220{hashlib.sha256(content).hexdigest()}"
            described = {"file:size": len(content), "file:checksum": checksum}
            item.add_asset(file, pystac.Asset(f"./{file}", roles=["data"], extra_fields=described))
        if withheld:
            write_withheld(lake, collection, item, {"cloud": "too much"})
        else:
            write_items(lake, collection, [item])

    return make
