"""What a user of UP42's official SDK does, against a sandbox; run by the SDK's own interpreter.

Nothing of the SDK is changed but the host. Prints one JSON object with what was seen; an assertion or an exception is
the judgement that the sandbox is not a UP42 that the SDK can work with.

Usage: python scenario.py <base URL> <folder for downloads>
"""

import json
import sys
from pathlib import Path

import up42
from up42 import host
from up42.glossary import InvalidSearchRequest

BASE, FOLDER = sys.argv[1], Path(sys.argv[2])


def box(west, south, east, north):
    """A GeoJSON polygon."""
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


AREA, FAR_AWAY = box(13.38, 52.46, 13.40, 52.475), box(100.0, 1.0, 100.02, 1.02)

host.endpoint = lambda path: f"{BASE}{path}"
host.token_endpoint = lambda: f"{BASE}/realms/public/protocol/openid-connect/token"
host.user_info_endpoint = lambda: f"{BASE}/realms/public/protocol/openid-connect/userinfo"


def features(*geometries):
    """A FeatureCollection with one feature per geometry."""
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries],
    }


def main():
    seen = {}

    up42.authenticate(username="sandbox@example.com", password="sandbox")

    collections = list(up42.ProductGlossary.get_collections(sort_by=up42.CollectionSorting.name.asc))
    archive = list(up42.ProductGlossary.get_collections(collection_type=up42.CollectionType.ARCHIVE))
    seen["collections"] = [collection.name for collection in collections]
    assert {collection.name for collection in archive} <= set(seen["collections"])
    optical = next(collection for collection in collections if collection.name == "sandbox-optical")
    product = next(product for product in optical.data_products if product.name == "analytic")
    assert "id" in product.schema["properties"]

    provider = next(provider for provider in optical.providers if provider.is_host)
    found = provider.search(
        collections=["sandbox-optical"], intersects=AREA, start_date="2026-06-01", end_date="2026-06-20"
    )
    scenes = list(found)
    assert scenes
    assert all(scene.collection == "sandbox-optical" for scene in scenes)
    seen["scenes"] = len(scenes)
    seen["quicklook"] = scenes[0].quicklook.download(FOLDER).stat().st_size
    try:
        list(provider.search(collections=["no-such-collection"], intersects=AREA))
    except InvalidSearchRequest as error:
        seen["invalid search"] = str(error)

    orders = []
    for number, scene in enumerate(scenes[:3]):
        template = up42.BatchOrderTemplate(
            data_product_id=product.id,
            display_name=f"sdk {number}",
            features=features(AREA, FAR_AWAY),
            params={"id": scene.id},
            tags=["sdk", f"number {number}"],
        )
        assert template.estimate.unit == "SQ_KM"
        assert template.estimate.credits > 0
        assert [type(item).__name__ for item in template.estimate.items] == ["OrderCost", "OrderError"]
        placed, refused = template.place()
        assert type(refused).__name__ == "OrderError"
        orders.append(placed.order)
    seen["orders"] = [order.id for order in orders]

    for order in orders:
        try:
            order.track(report_time=0.1)
        except ValueError as error:  # the SDK's word for a failed order
            seen.setdefault("failed", []).append(f"{order.id}: {type(error).__name__}")
    seen["statuses"] = sorted(up42.Order.get(order.id).status for order in orders)

    listed = list(up42.Order.all(tags=["sdk"], sort_by=up42.OrderSorting.created_at.asc))
    assert [order.id for order in listed] == seen["orders"]
    assert [order.id for order in up42.Order.all(display_name="sdk 1")] == [orders[1].id]
    assert [order.id for order in up42.Order.all(tags=["number 2"], order_type="ARCHIVE")] == [orders[2].id]

    assert [order.id for order in up42.Order.all(ids=seen["orders"][:1])] == seen["orders"][:1]
    up42.Order.update(orders[0].id, tags=["sdk", "renamed"])
    assert up42.Order.get(orders[0].id).tags == ["sdk", "renamed"]

    delivered = next(order for order in orders if order.is_fulfilled)
    client = up42.stac_client()
    same_order = {"op": "=", "args": [{"property": "order_id"}, delivered.id]}
    items = []
    while not items:  # UP42 makes STAC items some time after an order is fulfilled
        items = list(client.search(filter=same_order).items())
    item = items[0]
    assert item.up42.order_id == delivered.id
    assert item.up42.collection_name == "sandbox-optical"
    data = next(asset for asset in item.assets.values() if "data" in asset.roles)
    downloaded = data.file.download(FOLDER)
    seen["downloaded"] = downloaded.name
    seen["magic"] = downloaded.read_bytes()[:4].hex()
    collection = client.get_collection(item.collection_id)
    assert item.id in {one.id for one in collection.get_items()}
    assert item.id in {one.id for one in client.get_items(item.id)}

    sys.stdout.write(json.dumps(seen))


main()
