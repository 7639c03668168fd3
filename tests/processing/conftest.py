"""A sandbox with two scenes of one place in storage, where time passes only when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime

import pystac
import pytest
import requests
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import OrderInput

AREA = box(12.48, 41.88, 12.484, 41.884)


class Workshop:
    """The sandbox, a client, and `items`: two deliveries of the data product `bundle`, the earlier one first."""

    def __init__(self, sandbox) -> None:
        self.sandbox, self.client = sandbox, sandbox.client()
        found = self.client.catalog.search(
            "sandbox-host",
            collections=["sandbox-optical"],
            intersects=mapping(AREA),
            start=datetime(2026, 5, 1, tzinfo=UTC),
            end=datetime(2026, 5, 31, tzinfo=UTC),
        )
        scenes = sorted((scene for scene in found if shape(scene.geometry).covers(AREA)), key=lambda one: one.datetime_)
        product = self.client.catalog.collection("sandbox-optical").data_product("bundle").id
        feature = {"type": "Feature", "properties": {}, "geometry": mapping(AREA)}
        self.control("fates", kind="order", fate="fulfilled", times=2)
        lines = []
        for scene in (scenes[0], scenes[-1]):
            order = OrderInput(
                data_product=product,
                display_name="an item",
                params={"id": scene.id},
                feature_collection={"type": "FeatureCollection", "features": [feature]},
            )
            lines += self.client.orders.place(order).results
        self.later(2000)
        self.items: list[pystac.Item] = [self.client.storage.items_of_order(line.id)[0] for line in lines]

    def control(self, what, method="POST", **body):
        answer = requests.request(method, f"{self.sandbox.url}/sandbox/{what}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def later(self, seconds=1000):
        self.control("clock", advance=seconds)

    def fates(self, *fates):
        for fate in fates:
            self.control("fates", kind="job", fate=fate)

    def job_ids(self):
        return [job["id"] for job in requests.get(f"{self.sandbox.url}/sandbox/ledger", timeout=10).json()["jobs"]]


@pytest.fixture(scope="session")
def workshop(start_lasting_sandbox):
    workshop = Workshop(start_lasting_sandbox("--speed", "1"))
    yield workshop
    workshop.client.transport.close()
