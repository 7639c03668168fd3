"""Both STAC APIs are judged by stac-api-validator, which nobody here wrote.

What it cannot judge here:

- the schemas of extensions: they are on the network only (UNSEEN; that set cannot grow unnoticed);
- sorting by POST: it sends `collections` as a text where the specification has an array, and fails itself where only
  POST is advertised, as in the storage;
- pages in the storage: a collection there has one item, and it expects more of the collection it is told to use;
- filters of `sandbox-imagery`: an `or` of them with anything else looks for scenes of the whole globe;
- the transaction extension, which the storage claims because UP42's does: it wants to create items, UP42 does not.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests
from rasterio.transform import from_bounds

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = PROJECT / ".venv-stac" / "bin" / "python"
CLASSES = ("core", "collections", "features", "item-search")
AOI = [[13.36, 52.50], [13.39, 52.50], [13.39, 52.518], [13.36, 52.518], [13.36, 52.50]]
UNSEEN = {f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in ("eo", "view")}
UNSEEN_IN_STORAGE = {
    *UNSEEN,
    "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
    *(
        f"https://api.up42.com/stac-extensions/up42-{name}/v1.0.0/schema.json"
        for name in ("order", "product", "system", "user")
    ),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason="the validator's own environment is made by `make test`"),
]


@pytest.fixture(scope="module")
def judged(start_sandbox, tmp_path_factory, wait_for):
    """A sandbox with a folder of three rasters and three deliveries; `http` is logged in."""
    folder = tmp_path_factory.mktemp("imagery")
    for number in range(3):
        place = from_bounds(10 + number, 85, 10.1 + number, 85.1, 32, 32)
        profile = {"driver": "GTiff", "width": 32, "height": 32, "count": 3, "dtype": "uint8"}
        with rasterio.open(folder / f"{number}.tif", "w", crs=4326, transform=place, **profile) as raster:
            raster.write(np.full((3, 32, 32), 100 + number, np.uint8))
    sandbox = start_sandbox("--speed", "5000", "--seed", "3", "--imagery", str(folder))
    sandbox.http = requests.Session()
    form = {"grant_type": "password", "username": "sandbox@example.com", "password": "sandbox"}
    form |= {"client_id": "up42-sdk", "scope": "openid"}
    realm = f"{sandbox.url}/realms/public/protocol/openid-connect"
    sandbox.token = sandbox.http.post(f"{realm}/token", data=form).json()["access_token"]
    sandbox.http.headers["Authorization"] = f"Bearer {sandbox.token}"
    workspace_id = sandbox.http.get(f"{realm}/userinfo").json()["sub"]
    collections = sandbox.http.get(f"{sandbox.url}/v2/collections").json()["content"]
    optical = next(collection for collection in collections if collection["name"] == "sandbox-optical")
    fate = {"kind": "order", "fate": "fulfilled", "times": 3}
    assert sandbox.http.post(f"{sandbox.url}/sandbox/fates", json=fate).status_code == 200
    found = {"collections": ["sandbox-optical"], "intersects": {"type": "Polygon", "coordinates": [AOI]}, "limit": 3}
    for scene in sandbox.http.post(f"{sandbox.url}/v2/catalog/search", json=found).json()["features"]:
        feature = {"type": "Feature", "properties": {}, "geometry": found["intersects"]}
        body = {
            "dataProduct": optical["dataProducts"][0]["id"],
            "displayName": "judged",
            "params": {"id": scene["id"]},
            "featureCollection": {"type": "FeatureCollection", "features": [feature]},
            "tags": ["judged"],
        }
        placed = sandbox.http.post(f"{sandbox.url}/v2/orders?workspaceId={workspace_id}", json=body)
        assert placed.json()["errors"] == []
    storage = f"{sandbox.url}/v2/assets/stac/collections"
    sandbox.stored = wait_for(
        lambda: len(stored := sandbox.http.get(storage).json()["collections"]) == 3 and [one["id"] for one in stored]
    )
    yield sandbox
    sandbox.http.close()


def errors_of(sandbox, root, *arguments):
    """Run the validator: its errors, and the schemas it could not see."""
    options = ["--root-url", f"{sandbox.url}{root}", "--auth-bearer-token", sandbox.token, "--log-level", "ERROR"]
    # Its last step opens the API with pystac-client, which gets only these headers.
    options += ["--headers", f"Authorization: Bearer {sandbox.token}"]
    said = subprocess.run(
        [PYTHON, Path(__file__).with_name("judge.py"), *options, *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *report, unseen = said.stdout.splitlines()
    verdict = next((number for number, line in enumerate(report) if line.startswith("Errors:")), None)
    assert verdict is not None, said.stdout + said.stderr
    assert (said.returncode == 0) == (report[verdict] == "Errors: none"), said.stdout + said.stderr
    return report[verdict + 1 :], set(json.loads(unseen))


def classes(*names):
    return [part for name in names for part in ("--conformance", name)]


def test_the_catalogue(judged):
    berlin = json.dumps({"type": "Point", "coordinates": [13.4, 52.5]})
    options = ["--collection", "sandbox-optical", "--geometry", berlin]
    assert errors_of(judged, "/v2/catalog/", *options, *classes(*CLASSES, "filter")) == ([], UNSEEN)


def test_the_catalogues_pages(judged):
    options = ["--collection", "sandbox-imagery", "--geometry", json.dumps({"type": "Point", "coordinates": [11, 85]})]
    errors, unseen = errors_of(judged, "/v2/catalog/", *options, "--validate-pagination", *classes(*CLASSES))
    assert (errors, unseen - UNSEEN) == ([], set())


def test_sorting_in_the_catalogue(judged):
    errors, _ = errors_of(judged, "/v2/catalog/", "--collection", "sandbox-optical", *classes("item-search#sort"))
    sent_wrongly = [error for error in errors if '"collections": "sandbox-optical"' in error and "POST" in error]
    assert len(sent_wrongly) == 2
    assert errors == sent_wrongly


def test_the_storage(judged):
    inside = json.dumps({"type": "Point", "coordinates": [13.37, 52.51]})
    options = ["--collection", judged.stored[0], "--geometry", inside]
    assert errors_of(judged, "/v2/assets/stac/", *options, *classes(*CLASSES, "filter")) == ([], UNSEEN_IN_STORAGE)
