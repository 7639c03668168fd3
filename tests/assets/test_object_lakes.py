"""The same graph into lakes on object stores: S3 and GCS as emulators on loopback."""

from datetime import UTC, datetime

import pystac

from up42_pipelines.lake import Lake
from up42_pipelines.ordering.delivery import DeliveryState, delivery_of

DAY = "berlin|2026-06-01"
COLLECTION = "sandbox-optical"


def test_the_chain_lands_and_does_not_fetch_twice(object_store, make_graph, sandbox, wait_for):
    url, options = object_store
    graph = make_graph(sandbox, lake=f"{url}/lake", storage_options=options)
    assert graph.run(DAY, "scenes", "orders").success
    client = sandbox.client()

    def complete():
        deliveries = [
            delivery_of(
                order,
                client.storage.assets.of_order(order.id),
                client.storage.items_of_order(order.id),
                now=datetime.now(UTC),
            )
            for order, _ in graph.pipeline.orders_of(client, DAY)
        ]
        return all(delivery.state is DeliveryState.COMPLETE for delivery in deliveries) and deliveries

    items = [item for delivery in wait_for(complete) for item in delivery.items]
    assert graph.run(DAY, "stac_items", "cogs").success

    lake = Lake(f"{url}/lake", options)
    assert set(lake.list("collections", COLLECTION)) == {"collection.json", "index", *(item.id for item in items)}
    for item in items:
        document = lake.read_json("collections", COLLECTION, item.id, f"{item.id}.json")
        cogs = [asset for asset in document["assets"].values() if asset["type"] == pystac.MediaType.COG]
        assert cogs
        for asset in cogs:
            name = asset["href"].removeprefix("./")
            assert lake.size("collections", COLLECTION, item.id, name) == asset["file:size"]
    assert lake.read_json("catalog.json")["type"] == "Catalog"

    assert graph.run(DAY).success
    assert graph.metadata("cogs", DAY)["bytes_fetched"].value == 0
    assert len(graph.orders()) == 1


def test_a_lake_that_is_not_there_is_named(object_store, make_graph, slow_sandbox, explain):
    url, options = object_store
    missing = url.replace("bucket", "no-such-bucket")
    graph = make_graph(slow_sandbox, lake=f"{missing}/lake", storage_options=options)
    result = graph.run(DAY, "scenes", "orders")
    assert not result.success
    assert f"{missing}/lake" in explain(result, "scenes")
    assert graph.orders() == []
