"""The same graph into lakes on object stores: S3 and GCS as emulators on loopback."""

import socket
import subprocess
import sys
import time

import pystac
import pytest
import requests

from up42_pipelines.lake import Lake
from up42_pipelines.ordering.delivery import DeliveryState, delivery_of

DAY = "berlin|2026-06-01"
COLLECTION = "sandbox-optical"
MOTO = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"
GCS = (
    "import sys; from gcp_storage_emulator.server import create_server;"
    "create_server('127.0.0.1', int(sys.argv[1]), in_memory=True, default_bucket='bucket').run()"
)


@pytest.fixture(scope="module", params=["s3", "gs"])
def bucket(request):
    """URL of an empty bucket, and the storage options that reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    script = MOTO if request.param == "s3" else GCS
    command = [sys.executable, "-c", script, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            # gcsfs would ask a gRPC service about each bucket first, and an emulator has none
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "STORAGE_EMULATOR_HOST": endpoint,
        }.items():
            environment.setenv(name, value)
        _until_it_answers(endpoint)
        if request.param == "s3":
            import s3fs

            s3fs.S3FileSystem(endpoint_url=endpoint).mkdir("bucket")
        options = {"endpoint_url": endpoint} | ({"token": "anon"} if request.param == "gs" else {})
        yield f"{request.param}://bucket", options
    server.kill()
    server.wait()


def _until_it_answers(endpoint):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            requests.get(endpoint, timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{endpoint} does not answer")


def test_the_chain_lands_and_does_not_fetch_twice(bucket, make_graph, sandbox, wait_for):
    url, options = bucket
    graph = make_graph(sandbox, lake=f"{url}/lake", storage_options=options)
    assert graph.run(DAY, "scenes", "orders").success
    client = sandbox.client()

    def complete():
        deliveries = [
            delivery_of(order, client.storage.assets.of_order(order.id), client.storage.items_of_order(order.id))
            for order, _ in graph.pipeline.orders_of(client, DAY)
        ]
        return all(delivery.state is DeliveryState.COMPLETE for delivery in deliveries) and deliveries

    items = [item for delivery in wait_for(complete) for item in delivery.items]
    assert graph.run(DAY, "stac_items", "cogs").success

    lake = Lake(f"{url}/lake", options)
    assert set(lake.list("collections", COLLECTION)) == {"collection.json", *(item.id for item in items)}
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


def test_a_lake_that_is_not_there_is_named(bucket, make_graph, slow_sandbox, explain):
    url, options = bucket
    missing = url.replace("bucket", "no-such-bucket")
    graph = make_graph(slow_sandbox, lake=f"{missing}/lake", storage_options=options)
    result = graph.run(DAY, "scenes", "orders")
    assert not result.success
    assert f"{missing}/lake" in explain(result, "scenes")
    assert graph.orders() == []
