"""The item for a delivery that UP42 made none of."""

from datetime import UTC, datetime

import pytest

from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.api.orders import Order
from up42_pipelines.ordering.archives import archive_item

SQUARE = {"type": "Polygon", "coordinates": [[[13.3, 52.4], [13.5, 52.4], [13.5, 52.6], [13.3, 52.6], [13.3, 52.4]]]}
CREATED = datetime(2026, 5, 1, 7, tzinfo=UTC)
HREF = "https://api.up42.com/v2/assets/a55e7"


def made(*, aoi=SQUARE, whole=True, **fields):
    order = Order(
        id="0rder", status="FULFILLED", order_details={"aoi": aoi}, created_at=datetime(2026, 4, 1, tzinfo=UTC)
    )
    return archive_item(order, StoredAsset(id="a55e7", **fields), HREF, whole=whole)


def test_it_says_what_up42_says():
    item = made(name="host_0rder.zip", created_at=CREATED, collection_name="phr", tags=("one", "two"), source="ARCHIVE")
    assert item.id == "a55e7"
    assert item.datetime == CREATED
    assert (item.geometry, item.bbox) == (SQUARE, [13.3, 52.4, 13.5, 52.6])
    assert item.properties["up42-order:id"] == "0rder"
    assert item.properties["up42-system:asset_id"] == "a55e7"
    assert item.properties["up42-user:tags"] == ["one", "two"]
    assert item.properties["title"] == "host_0rder.zip"
    [(key, asset)] = item.assets.items()
    assert (key, asset.href, asset.media_type, asset.roles) == (
        "original",
        HREF,
        "application/zip",
        ["data", "original"],
    )
    item.validate()


@pytest.mark.parametrize(
    "aoi", [None, {}, [], "here", {"type": "Polygon", "coordinates": []}, {"type": "Point", "coordinates": [1, 2]},
            {"type": "Polygon", "coordinates": [["x"]]}, {"type": "Blob", "coordinates": [[1, 2]]}],
)  # fmt: skip
def test_an_area_that_is_none_is_left_out(aoi):
    item = made(aoi=aoi)
    assert (item.geometry, item.bbox) == (None, None)


def test_nobody_says_which_part_of_the_area_one_of_several_deliveries_has():
    item = made(whole=False)
    assert (item.geometry, item.bbox) == (None, None)
    item.validate()


def test_without_dates_it_has_the_orders():
    assert made().datetime == datetime(2026, 4, 1, tzinfo=UTC)


def test_the_media_type_is_up42s_if_it_tells():
    assert made(content_type="application/gzip").assets["original"].media_type == "application/gzip"
