"""Real sandboxes in processes of their own, and a small client that shares no code with the product's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from shapely.geometry import box, shape

from tests.launch import Forked
from up42_pipelines.sandbox.catalog import products
from up42_pipelines.sandbox.imagery import scenes
from up42_pipelines.sandbox.ordering import lifecycle

AOI = {
    "type": "Polygon",
    "coordinates": [[[13.36, 52.50], [13.39, 52.50], [13.39, 52.518], [13.36, 52.518], [13.36, 52.50]]],
}


def wait_for(condition, seconds=20):
    """Ask until the answer is true; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"nothing happened within {seconds} s")
        time.sleep(0.02)


class Sandbox:
    """A running process; `state` outlives it."""

    def __init__(self, state, *, speed=5000.0, seed=0, imagery=None, run=Forked):
        self.state = state
        arguments = ["--port", "0", "--state", str(state), "--speed", str(speed), "--seed", str(seed)]
        arguments += [] if imagery is None else ["--imagery", str(imagery)]
        state.mkdir(parents=True, exist_ok=True)
        self.log = state / "stderr.log"
        self.process = run("up42_pipelines.sandbox", arguments, self.log)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            self.stop()
            pytest.fail(f"the sandbox did not start:\n{self.log.read_text()}")
        self.http = requests.Session()
        self.login()

    def login(self):
        form = {"grant_type": "password", "username": "sandbox@example.com", "password": "sandbox"}
        form |= {"client_id": "up42-sdk", "scope": "openid"}
        answer = self.http.post(f"{self.url}/realms/public/protocol/openid-connect/token", data=form)
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        userinfo = self.http.get(f"{self.url}/realms/public/protocol/openid-connect/userinfo").json()
        self.workspace_id = userinfo["sub"]

    def get(self, path, **options):
        return self.http.get(self.url + path, **options)

    def post(self, path, json=None, **options):
        return self.http.post(self.url + path, json=json, **options)

    def order_body(self, scene_id, *, product="analytic", geometries=(AOI,), name="test order", **extra):
        product_id = {p.name: p.id for c in (products.OPTICAL, products.IMAGERY) for p in c.products}[product]
        features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries]
        collection = {"type": "FeatureCollection", "features": features}
        body = {"dataProduct": product_id, "displayName": name, "params": {"id": scene_id}}
        return {**body, "featureCollection": collection, **extra}

    def place(self, scene_id, **options):
        """Place one order and return its id."""
        answer = self.post(f"/v2/orders?workspaceId={self.workspace_id}", self.order_body(scene_id, **options))
        assert answer.status_code == 201, answer.text
        assert answer.json()["errors"] == []
        return answer.json()["results"][0]["id"]

    def status(self, order_id):
        return self.get(f"/v2/orders/{order_id}").json()["status"]

    def wait_for_end(self, order_id):
        ends = {"FULFILLED", "FAILED_PERMANENTLY", "CANCELED"}
        return wait_for(lambda: (status := self.status(order_id)) in ends and status)

    def items_of(self, order_id):
        query = {"filter": {"op": "=", "args": [{"property": "order_id"}, order_id]}}
        return self.post("/v2/assets/stac/search", query).json()["features"]

    def wait_for_items(self, order_id, count=1):
        return wait_for(lambda: len(found := self.items_of(order_id)) == count and found)

    def data_of(self, item):
        """Download the raster of an item through a signed URL."""
        href = next(asset["href"] for asset in item["assets"].values() if "data" in asset["roles"])
        signed = self.http.post(f"{href}/download-url").json()["url"]
        answer = requests.get(signed, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.content

    def kill(self):
        self.process.kill()
        self._reap()

    def stop(self):
        """End it as a service manager would; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        return self._reap()

    def _reap(self):
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        if hasattr(self, "http"):
            self.http.close()
        return code


@contextlib.contextmanager
def starting(tmp_path_factory):
    """Start sandboxes; those still running at the end are stopped."""
    started = []

    def start(state=None, **options):
        started.append(Sandbox(state or tmp_path_factory.mktemp("state"), **options))
        return started[-1]

    yield start
    running = [sandbox for sandbox in started if sandbox.process.poll() is None]
    for sandbox in running:
        sandbox.process.terminate()
    for sandbox in running:
        sandbox.stop()


@pytest.fixture(scope="module")
def start_sandbox(tmp_path_factory):
    with starting(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory):
    with starting(tmp_path_factory) as start:
        yield start()


@pytest.fixture(scope="module")
def sandbox(shared_sandbox):
    """The sandbox that most tests share: orders live a tenth of a second."""
    shared_sandbox.login()  # a token lives for five minutes, and the suite longer
    return shared_sandbox


@pytest.fixture(scope="session")
def aoi():
    return AOI


@pytest.fixture(scope="session")
def await_true():
    return wait_for


@pytest.fixture(scope="session")
def take_scene():
    """Hand out a scene that covers the AOI and was never ordered, whose first order will fare as asked."""
    area = shape(AOI)
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)
    pool = [scene for scene in scenes.find_scenes(0, area, first, last) if scene.footprint.covers(box(*area.bounds))]

    def take(*, parts=1, ends="FULFILLED", stumbles=False, product="analytic", max_cloud=100.0, life_is=bool):
        product_id = next(p.id for p in products.OPTICAL.products if p.name == product)
        for scene in pool:
            life = lifecycle.plan(0, scene.id, product_id, 0, divisible=True)
            statuses = [status.value for _, status in life.steps]
            fits = len(life.arrivals) == (parts if ends == "FULFILLED" else 0) and statuses[-1] == ends
            fits = fits and ("PLACEMENT_FAILED" in statuses) == stumbles and life_is(life)
            if fits and scene.cloud_cover_percent <= max_cloud:
                pool.remove(scene)
                return scene
        pytest.fail("no scene like that is left")

    return take


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real test data beside the repository."""
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real test data at {folder}")
    return folder
