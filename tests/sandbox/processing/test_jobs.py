import io
import json
import re
import zipfile

import numpy as np
import pytest
from rasterio.io import MemoryFile
from shapely.geometry import mapping

from up42_pipelines.sandbox.processing import processes

ROOT = "/v2/processing"
KNOWN = {
    "detection-buildings-spacept",
    "detection-trees-spacept",
    "detection-shadows-spacept",
    "detection-ships-airbus",
    "detection-wind-turbines-airbus",
    "detection-storage-tanks-airbus",
    "detection-trucks-oi",
    "detection-cars-oi",
    "detection-aircraft-oi",
    "upsampling-ns",
    "upsampling-ns-sentinel",
    "true-color-conversion",
    "orthorectification-intermap",
    "coregistration-simularity",
    "detection-change-simularity",
    "pansharpening",
}


def strip(west, east):
    """A part of the AOI that every scene of `take_scene` covers."""
    ring = [[west, 52.50], [east, 52.50], [east, 52.518], [west, 52.518], [west, 52.50]]
    return {"type": "Polygon", "coordinates": [ring]}


class Lab:
    """A sandbox whose clock stands still unless it is moved (it runs a thousand times too slowly)."""

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def decide(self, kind, fate, times=1):
        body = {"kind": kind, "fate": fate, "times": times}
        assert self.sandbox.post("/sandbox/fates", body).status_code == 200

    def advance(self, seconds):
        """Let simulated seconds pass."""
        assert self.sandbox.post("/sandbox/clock", {"advance": seconds * 1000}).status_code == 200

    def buy(self, scene_id, **options):
        """An item, delivered."""
        self.decide("order", "fulfilled")
        order_id = self.sandbox.place(scene_id, **options)
        self.advance(900)
        (item,) = self.sandbox.items_of(order_id)
        return item

    def call(self, process_id, what, inputs, **params):
        return self.sandbox.post(f"{ROOT}/processes/{process_id}/{what}", {"inputs": inputs}, params=params)

    def execute(self, process_id, inputs, fate=None, **params):
        if fate:
            self.decide("job", fate)
        answer = self.call(process_id, "execution", inputs, workspaceId=self.sandbox.workspace_id, **params)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def job(self, job):
        return self.sandbox.get(f"{ROOT}/jobs/{job['jobID']}").json()

    def jobs(self, **params):
        return self.sandbox.get(f"{ROOT}/jobs", params=params).json()["jobs"]

    def result(self, job):
        """The item that a job made."""
        self.advance(300)
        by_job = {"filter": {"op": "=", "args": [{"property": "job_id"}, job["jobID"]]}}
        (item,) = self.sandbox.post("/v2/assets/stac/search", by_job).json()["features"]
        return item

    def download(self, href):
        return self.sandbox.http.get(href).content

    def credits(self):
        return self.sandbox.get("/sandbox/access").json()["credits"]


def self_link(item):
    return next(link["href"] for link in item["links"] if link["rel"] == "self")


@pytest.fixture(scope="module")
def lab(start_sandbox):
    return Lab(start_sandbox(speed=0.001))


@pytest.fixture(scope="module")
def items(lab, take_scene):
    """Two items of one place, and two of its ends."""
    whole = [lab.buy(take_scene(max_cloud=5).id) for _ in range(2)]
    ends = [lab.buy(take_scene().id, geometries=(strip(*span),)) for span in ((13.36, 13.37), (13.38, 13.39))]
    return [*whole, *ends]


@pytest.fixture(scope="module")
def bundle(lab, take_scene):
    """An item with a panchromatic and a multispectral asset."""
    return lab.buy(take_scene(max_cloud=5, product="bundle").id, product="bundle")


@pytest.fixture(scope="module")
def inputs(items):
    return {"title": "Trees", "item": self_link(items[0])}


def test_all_known_processes_are_offered(lab):
    listed = lab.sandbox.get(f"{ROOT}/processes").json()["processes"]
    assert {process["id"] for process in listed} == KNOWN
    for process in listed:
        whole = lab.sandbox.get(f"{ROOT}/processes/{process['id']}").json()
        assert whole == {**process, "inputs": whole["inputs"], "outputs": whole["outputs"]}
        parameters = {entry["name"]: entry["value"] for entry in whole["additionalParameters"]["parameters"]}
        (eula_id,) = parameters["eula-id"]
        assert lab.sandbox.get(f"/v2/eulas/{eula_id}").json()["isAccepted"] is True
        assert parameters["price"] == [{"credits": processes.find(process["id"]).credits_per_km2, "unit": "SQ_KM"}]
        assert "A toy" in whole["description"]
    assert lab.sandbox.get(f"{ROOT}/processes/detection-change-spacept").status_code == 404


@pytest.mark.parametrize(
    ("process_id", "required", "optional"),
    [
        ("detection-cars-oi", {"title", "item"}, set()),
        ("coregistration-simularity", {"title", "sourceItem", "referenceItem"}, set()),
        ("detection-change-simularity", {"title", "sourceItem", "referenceItem"}, {"sensitivity"}),
        ("pansharpening", {"title", "item"}, {"greyWeights"}),
    ],
)
def test_the_shapes_of_inputs(lab, process_id, required, optional):
    described = lab.sandbox.get(f"{ROOT}/processes/{process_id}").json()["inputs"]
    assert {name for name, about in described.items() if about["minOccurs"] == 1} == required
    assert {name for name, about in described.items() if about["minOccurs"] == 0} == optional


def test_right_inputs_are_answered_with_nothing(lab, items, inputs):
    answer = lab.call("detection-trees-spacept", "validation", inputs)
    assert (answer.status_code, answer.content) == (200, b"")
    pair = {"title": "Moved", "sourceItem": self_link(items[0]), "referenceItem": self_link(items[1])}
    for process_id, more in (("coregistration-simularity", {}), ("detection-change-simularity", {"sensitivity": 3})):
        assert lab.call(process_id, "validation", {**pair, **more}).status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"item": None}, "data.inputs must contain ['item'] properties"),
        ({"item": None, "title": None}, "data.inputs must contain ['title', 'item'] properties"),
        ({"title": 7}, "data.inputs.title must be string"),
        ({"items": ["x"]}, "data.inputs must not contain ['items'] properties"),
        ({"greyWeights": [{"band": "red"}]}, "data.inputs.greyWeights[0] must contain ['weight'] properties"),
    ],
)
@pytest.mark.parametrize("what", ["validation", "cost", "execution"])
def test_inputs_of_the_wrong_form_are_400(lab, inputs, what, change, error):
    wrong = {key: value for key, value in {**inputs, **change}.items() if value is not None}
    before = len(lab.jobs(limit=1000))
    answer = lab.call("pansharpening", what, wrong, workspaceId=lab.sandbox.workspace_id)
    assert (answer.status_code, answer.json()) == (400, {"title": "Bad Request", "status": 400, "schema-error": error})
    assert len(lab.jobs(limit=1000)) == before


def test_a_body_without_inputs_is_400(lab):
    answer = lab.sandbox.post(f"{ROOT}/processes/pansharpening/validation", {"title": "x"})
    assert answer.json()["schema-error"] == "data must contain ['inputs'] properties"


@pytest.mark.parametrize(
    ("process_id", "change", "names"),
    [
        ("detection-trees-spacept", {"title": " "}, ["InvalidTitle"]),
        ("detection-trees-spacept", {"title": "x" * 201}, ["InvalidTitle"]),
        ("detection-trees-spacept", {"title": "two\nlines"}, ["InvalidTitle"]),
        ("detection-trees-spacept", {"item": "http://example.com/item"}, ["ItemNotFound"]),
        ("detection-trees-spacept", {"item": "http://["}, ["ItemNotFound"]),
        ("detection-trees-spacept", {"title": "", "item": "x"}, ["InvalidTitle", "ItemNotFound"]),
        ("pansharpening", {}, ["MissingPanchromaticAsset"]),
        (
            "pansharpening",
            {"greyWeights": [{"band": "red", "weight": 0.2}, {"band": "pink", "weight": 1}]},
            ["MissingPanchromaticAsset", "InvalidGreyWeights"],
        ),
    ],
)
@pytest.mark.parametrize("what", ["validation", "cost"])
def test_inputs_that_make_no_sense_are_422(lab, inputs, what, process_id, change, names):
    answer = lab.call(process_id, what, {**inputs, **change})
    assert answer.status_code == 422
    body = answer.json()
    assert (body["title"], body["status"]) == ("Unprocessable Entity", 422)
    assert [error["name"] for error in body["errors"]] == names
    assert all(set(error) == {"name", "message"} for error in body["errors"])


def test_a_pair_must_be_two_items_of_one_place(lab, items):
    here, _, west, east = map(self_link, items)

    def names(source, reference):
        pair = {"title": "Moved", "sourceItem": source, "referenceItem": reference}
        answer = lab.call("coregistration-simularity", "validation", pair)
        return [error["name"] for error in answer.json()["errors"]]

    assert names(here, here) == ["IdenticalItems"]
    assert names(west, east) == ["ItemsDoNotOverlap"]


def test_an_item_must_be_named_with_its_own_collection(lab, items, inputs):
    mixed = self_link(items[1]).rpartition("/")[0] + "/" + items[0]["id"]
    (error,) = lab.call("detection-trees-spacept", "validation", {**inputs, "item": mixed}).json()["errors"]
    assert (error["name"], mixed in error["message"]) == ("ItemNotFound", True)


def test_a_deleted_item_is_named(lab, take_scene):
    item = lab.buy(take_scene().id)
    given = {"title": "Trees", "item": self_link(item)}
    assert lab.call("detection-trees-spacept", "validation", given).status_code == 200
    assert lab.sandbox.http.delete(given["item"].rpartition("/items/")[0]).status_code == 204
    (error,) = lab.call("detection-trees-spacept", "validation", given).json()["errors"]
    assert (error["name"], given["item"] in error["message"]) == ("ItemNotFound", True)


def test_the_cost_is_the_price_of_the_area(lab, items, inputs):
    assert lab.call("detection-trees-spacept", "cost", inputs).json() == {
        "pricingStrategy": "area",
        "totalCredits": 49,
        "totalSize": pytest.approx(4.08, abs=0.01),
        "unit": "SQ_KM",
    }
    assert lab.call("true-color-conversion", "cost", inputs).json() == {"pricingStrategy": "none", "totalCredits": 0}


def test_a_job_lives_by_the_clock(lab, inputs):
    before = lab.credits()
    created = lab.execute("detection-trees-spacept", inputs, "successful")
    assert set(created) == {
        "processID",
        "jobID",
        "accountID",
        "workspaceID",
        "definition",
        "results",
        "creditConsumption",
        "status",
        "created",
        "updated",
        "started",
        "finished",
    }
    assert (created["processID"], created["workspaceID"]) == ("detection-trees-spacept", lab.sandbox.workspace_id)
    assert created["definition"] == {"inputs": inputs}
    nothing = dict.fromkeys(("results", "creditConsumption", "started", "finished"))
    assert created == {**created, **nothing, "status": "created", "updated": created["created"]}
    seen = ["created"]
    while seen[-1] != "running":
        lab.advance(0.4)
        job = lab.job(created)
        seen += [job["status"]] if job["status"] != seen[-1] else []
        assert job == {**job, **nothing, "started": job["started"]}
    assert seen == ["created", "licensed", "valid", "accepted", "running"]
    assert job["started"] == job["updated"] > job["created"]
    assert (lab.credits()["balance"], lab.credits()["reserved"]) == (before["balance"], before["reserved"] + 49)
    lab.advance(300)
    done = lab.job(created)
    assert (done["status"], done["creditConsumption"]) == ("successful", {"credits": 49})
    assert done["created"] < done["started"] < done["finished"] == done["updated"]
    assert (lab.credits()["balance"], lab.credits()["reserved"]) == (before["balance"] - 49, before["reserved"])
    for key in ("created", "updated", "started", "finished"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", done[key])
    lab.advance(1_000)
    assert lab.job(created) == done


def raster_of(lab, item):
    with MemoryFile(lab.sandbox.data_of(item)) as memory, memory.open() as raster:
        return raster.read(), raster.profile


def test_a_result_is_a_collection_of_its_own(lab, items, inputs):
    job = lab.execute("orthorectification-intermap", inputs, "successful")
    by_job = {"filter": {"op": "=", "args": [{"property": "job_id"}, job["jobID"]]}}
    assert lab.sandbox.post("/v2/assets/stac/search", by_job).json()["features"] == []
    lab.advance(300)
    job = lab.job(job)
    assert job["results"]["errors"] is None
    collection = lab.sandbox.http.get(job["results"]["collection"]).json()
    assert "toy algorithm" in collection["description"]
    (item,) = lab.sandbox.post("/v2/assets/stac/search", by_job).json()["features"]
    for thing in (collection, item["properties"]):
        assert (thing["up42-system:job_id"], thing["up42-system:source"]) == (job["jobID"], "PROCESSING")
        assert thing["up42-user:title"] == "Trees"
        assert not [key for key in thing if key.startswith("up42-order:")]
    assert item["collection"] == collection["id"]
    assert item["geometry"] == items[0]["geometry"]
    (before, profile), (after, same) = raster_of(lab, items[0]), raster_of(lab, item)
    assert np.array_equal(before, after)
    assert same == profile
    (asset,) = lab.sandbox.get("/v2/assets", params={"search": job["jobID"], "sources": "PROCESSING"}).json()["content"]
    assert asset["id"] == item["properties"]["up42-system:asset_id"]
    assert (asset["source"], asset["title"], "orderId" in asset) == ("PROCESSING", "Trees", False)


def made(lab, process_id, item, title):
    """The item that a job makes of an item."""
    return lab.result(lab.execute(process_id, {"title": title, "item": self_link(item)}, "successful"))


def data_assets(item):
    return [asset for asset in item["assets"].values() if "data" in asset["roles"]]


@pytest.fixture(scope="module")
def chain(lab, bundle):
    """A bundle; what pansharpening makes of it; that in true colour; and what a detection finds on that."""
    sharp = made(lab, "pansharpening", bundle, "Sharp")
    colour = made(lab, "true-color-conversion", sharp, "Colour")
    return bundle, sharp, colour, made(lab, "detection-buildings-spacept", colour, "Buildings")


def test_a_bundle_has_a_panchromatic_and_a_multispectral_asset(lab, bundle):
    pan, ms = data_assets(bundle)
    assert (pan["roles"], ms["roles"]) == (["data", "panchromatic"], ["data", "multispectral"])
    assert (pan["gsd"], ms["gsd"], bundle["properties"]["gsd"]) == (3, 12, 3)
    assert [band["common_name"] for band in pan["eo:bands"]] == ["pan"]
    assert [band["name"] for band in ms["eo:bands"]] == ["blue", "green", "red", "nir"]
    assert bundle["properties"]["up42-product:modality"] == "multispectral"
    for asset, bands, res in ((pan, 1, 3), (ms, 4, 12)):
        with MemoryFile(lab.download(asset["href"])) as memory, memory.open() as raster:
            assert (raster.count, raster.dtypes[0], raster.res) == (bands, "uint16", (res, res))


def test_a_chain_of_jobs(lab, chain):
    bundle, sharp, colour, found = chain
    (sharp_data,), (colour_data,), (vectors,) = map(data_assets, (sharp, colour, found))
    assert (sharp_data["roles"], sharp_data["gsd"]) == (["data", "multispectral"], 3)
    assert [band["name"] for band in colour_data["eo:bands"]] == ["red", "green", "blue"]
    assert raster_of(lab, colour)[1]["dtype"] == "uint8"
    assert (vectors["type"], vectors["roles"], "eo:bands" in vectors) == ("application/geo+json", ["data"], False)
    for item, title in ((sharp, "Sharp"), (colour, "Colour"), (found, "Buildings")):
        properties = item["properties"]
        assert (properties["up42-user:title"], properties["up42-system:source"]) == (title, "PROCESSING")
        assert item["geometry"] == bundle["geometry"]
        for name in ("datetime", "eo:cloud_cover", "up42-product:collection_name", "up42-product:product_id"):
            assert properties[name] == bundle["properties"][name]
    assert "up42-product:modality" not in found["properties"]
    kinds = [item["properties"]["up42-product:data_type"] for item in (sharp, colour, found)]
    assert kinds == ["raster", "raster", "vector"]
    collection = lab.download(vectors["href"])
    buildings = json.loads(collection)["features"]
    assert buildings
    assert {building["properties"]["class"] for building in buildings} == {"building"}


def test_the_archive_of_a_result_holds_what_its_assets_hold(lab, chain):
    for item in chain:
        asset_id = item["properties"]["up42-system:asset_id"]
        with zipfile.ZipFile(io.BytesIO(lab.sandbox.get(f"/v2/assets/{asset_id}").content)) as archive:
            packed = sorted(archive.read(name) for name in archive.namelist())
        assert packed == sorted(lab.download(asset["href"]) for asset in item["assets"].values())


def test_features_cannot_be_processed_again(lab, chain):
    given = {"title": "Again", "item": self_link(chain[-1])}
    for process_id in ("detection-buildings-spacept", "true-color-conversion", "pansharpening", "upsampling-ns"):
        (error,) = lab.call(process_id, "validation", given).json()["errors"]
        assert (error["name"], chain[-1]["id"] in error["message"]) == ("MissingRasterAsset", True)
    pair = {"title": "Again", "sourceItem": self_link(chain[-1]), "referenceItem": self_link(chain[0])}
    (error,) = lab.call("detection-change-simularity", "validation", pair).json()["errors"]
    assert error["name"] == "MissingRasterAsset"


def test_what_was_pansharpened_has_no_panchromatic_asset(lab, chain):
    (error,) = lab.call("pansharpening", "validation", {"title": "x", "item": self_link(chain[1])}).json()["errors"]
    assert error["name"] == "MissingPanchromaticAsset"


def test_what_a_job_was_told_beside_its_items_decides_its_result(lab, chain):
    weights = [{"band": "red", "weight": 1}]
    inputs = {"title": "Red", "item": self_link(chain[0]), "greyWeights": weights}
    red = lab.result(lab.execute("pansharpening", inputs, "successful"))
    assert lab.sandbox.data_of(red) != lab.sandbox.data_of(chain[1])


def test_weights_of_grey_must_weigh(lab, bundle):
    def names(*weights):
        given = [{"band": band, "weight": weight} for band, weight in weights]
        inputs = {"title": "x", "item": self_link(bundle), "greyWeights": given}
        answer = lab.call("pansharpening", "validation", inputs)
        return [] if answer.status_code == 200 else [error["name"] for error in answer.json()["errors"]]

    assert names() == names(("red", 0.2), ("nir", 0)) == []
    assert names(("red", 0), ("blue", 0)) == names(("pan", 1)) == ["InvalidGreyWeights"]


def test_what_would_be_too_large_is_refused_before_it_is_computed(lab, take_scene):
    scene = take_scene()
    whole = lab.buy(scene.id, geometries=(mapping(scene.footprint),))
    large = made(lab, "upsampling-ns", whole, "Large")
    (error,) = lab.call("upsampling-ns", "validation", {"title": "x", "item": self_link(large)}).json()["errors"]
    assert error["name"] == "ItemTooLarge"
    assert lab.call("true-color-conversion", "validation", {"title": "x", "item": self_link(large)}).status_code == 200


@pytest.mark.parametrize(
    ("fate", "status", "errors", "consumed"),
    [
        ("successful", "successful", None, True),
        ("captured", "captured", None, True),
        ("failed", "released", ["ProcessingFailed"], False),
        ("unreleased", "failed", ["ProcessingFailed"], False),
        ("stuck_released", "running", None, False),
        ("lost_result", "successful", None, True),
        ("quarantined", "quarantined", None, False),
        ("running", "running", None, False),
        ("unlicensed", "unlicensed", None, False),
        ("invalid", "invalid", ["InvalidItem"], False),
        ("rejected", "rejected", None, False),
    ],
)
def test_what_may_become_of_a_job(lab, inputs, fate, status, errors, consumed):
    before = lab.credits()["balance"]
    job = lab.execute("detection-ships-airbus", inputs, fate)
    lab.advance(1_000)
    job = lab.job(job)
    assert job["status"] == status
    assert (job["results"] is not None and job["results"]["collection"] is not None) == consumed
    named = ((job["results"] or {}).get("errors")) or None
    assert (named and [error["name"] for error in named]) == errors
    assert job["creditConsumption"] == ({"credits": 25} if consumed else None)
    assert before - lab.credits()["balance"] == (25 if consumed else 0)
    assert (job["started"] is None) == (status in ("unlicensed", "invalid", "rejected"))
    assert (job["finished"] is None) == (status in ("running", "quarantined"))


def test_a_job_that_is_stuck_fails_after_hours(lab, inputs):
    lab.advance(50_000)  # whatever other tests left open has ended
    reserved = lab.credits()["reserved"]
    job = lab.execute("detection-ships-airbus", inputs, "stuck_released")
    lab.advance(6 * 3600 - 60)
    assert (lab.job(job)["status"], lab.credits()["reserved"]) == ("running", reserved + 25)
    lab.advance(7 * 3600)
    assert (lab.job(job)["status"], lab.credits()["reserved"]) == ("released", reserved)


def test_what_is_never_released_stays_withheld(lab, inputs):
    lab.advance(50_000)  # whatever other tests left open has ended
    reserved = lab.credits()["reserved"]
    job = lab.execute("detection-ships-airbus", inputs, "unreleased")
    lab.advance(100_000)
    assert (lab.job(job)["status"], lab.credits()["reserved"]) == ("failed", reserved + 25)


def test_a_lost_result_is_named_and_not_there(lab, inputs):
    job = lab.execute("detection-ships-airbus", inputs, "lost_result")
    lab.advance(1_000)
    collection = lab.job(job)["results"]["collection"]
    assert lab.sandbox.http.get(collection).status_code == 404
    by_job = {"filter": {"op": "=", "args": [{"property": "job_id"}, job["jobID"]]}}
    assert lab.sandbox.post("/v2/assets/stac/search", by_job).json()["features"] == []
    assert lab.sandbox.get("/v2/assets", params={"search": job["jobID"]}).json()["content"] == []


def test_a_status_that_nobody_knows_is_listed(lab, inputs):
    job = lab.execute("detection-ships-airbus", inputs, "quarantined")
    lab.advance(1_000)
    assert job["jobID"] in ids_of(lab.jobs())
    assert job["jobID"] not in ids_of(lab.jobs(status="running,successful,failed,released", limit=1000))
    assert lab.jobs(ids=job["jobID"])[0]["status"] == "quarantined"
    assert job["jobID"] in ids_of(lab.jobs(status="quarantined"))


def test_the_ledger_lists_jobs_by_title(lab, inputs):
    title = "optical.trees 2026-06-01|berlin 49 credits 0123456789abcdef0123456789abcdef"
    job = lab.execute("detection-trees-spacept", {**inputs, "title": title}, "successful")
    lab.advance(1_000)
    (entry,) = [one for one in lab.sandbox.get("/sandbox/ledger").json()["jobs"] if one["title"] == title]
    told = (entry["id"], entry["processId"], entry["status"], entry["credits"])
    assert told == (job["jobID"], "detection-trees-spacept", "successful", 49)
    assert [charge["credits"] for charge in entry["charges"]] == [49]


def test_wrong_inputs_make_an_invalid_job(lab, inputs):
    job = lab.execute("pansharpening", inputs, "successful")
    lab.advance(10)
    job = lab.job(job)
    assert job["status"] == "invalid"
    assert job["results"] == {
        "collection": None,
        "errors": lab.call("pansharpening", "validation", inputs).json()["errors"],
    }


def test_a_licence_that_is_not_accepted_ends_a_job(lab, inputs):
    eula_id = processes.find("upsampling-ns").eula_id
    assert lab.sandbox.post("/sandbox/access", {"eulas": {eula_id: False}}).status_code == 200
    job = lab.execute("upsampling-ns", inputs)
    lab.advance(10)
    assert lab.job(job)["status"] == "unlicensed"
    lab.sandbox.post("/sandbox/access", {"eulas": {eula_id: True}})
    job = lab.execute("upsampling-ns", inputs, "successful")
    lab.advance(300)
    assert lab.job(job)["status"] == "successful"


def test_what_other_jobs_will_cost_cannot_be_spent(lab, inputs):
    available = lab.credits()["available"]
    assert lab.sandbox.post("/sandbox/access", {"credits": 60 - available}).status_code == 200
    first, second = (lab.execute("detection-trees-spacept", inputs, "successful") for _ in range(2))
    lab.advance(300)
    assert (lab.job(first)["status"], lab.job(second)["status"]) == ("successful", "rejected")
    lab.sandbox.post("/sandbox/access", {"credits": available})


def test_the_workspace_must_be_named(lab, inputs):
    statuses = {
        workspace_id: lab.call("upsampling-ns", "execution", inputs, workspaceId=workspace_id).status_code
        for workspace_id in (None, "mine", "00000000-0000-4000-8000-000000000000")
    }
    assert list(statuses.values()) == [400, 400, 403]


def test_a_budget_pays_or_refuses(lab, inputs):
    unknown = "00000000-0000-4000-8000-000000000000"
    params = {"workspaceId": lab.sandbox.workspace_id}
    assert lab.call("upsampling-ns", "execution", inputs, budgetId=unknown, **params).status_code == 404
    assert lab.call("upsampling-ns", "execution", inputs, budgetId="x", **params).status_code == 400
    budgets = {budget["name"]: budget["id"] for budget in lab.sandbox.get("/v2/budgets").json()["content"]}
    closed = lab.call("upsampling-ns", "execution", inputs, budgetId=budgets["Last year"], **params)
    assert closed.status_code == 403
    lab.execute("upsampling-ns", inputs, "successful", budgetId=budgets["Research"])
    lab.advance(300)
    assert lab.sandbox.get(f"/v2/budgets/{budgets['Research']}/usage").json()["consumedCredits"] == 21


def test_jobs_and_results_outlive_the_sandbox_their_inputs_and_their_files(start_sandbox, take_scene):
    first = Lab(start_sandbox(speed=0.001))
    bought = first.buy(take_scene().id, product="bundle", geometries=(strip(13.36, 13.365),))
    sharp = made(first, "pansharpening", bought, "Sharp")
    done, running = (
        first.execute("upsampling-ns", {"title": "Trees", "item": self_link(bought)}, fate)
        for fate in ("successful", "running")
    )
    first.sandbox.http.delete(self_link(bought).rpartition("/items/")[0]).raise_for_status()
    before = first.sandbox.data_of(sharp)
    first.sandbox.kill()
    for path in (first.sandbox.state / "files").iterdir():
        path.unlink()
    second = Lab(start_sandbox(first.sandbox.state, speed=0.001))
    assert second.job(done)["created"] == done["created"]
    second.advance(300)
    assert (second.job(done)["status"], second.job(running)["status"]) == ("successful", "running")
    collection = second.job(done)["results"]["collection"]
    assert second.sandbox.http.get(collection).status_code == 200
    again = second.sandbox.get(self_link(sharp).removeprefix(first.sandbox.url)).json()
    assert second.sandbox.data_of(again) == before
    gone = {"title": "x", "item": self_link(bought).replace(first.sandbox.url, second.sandbox.url)}
    job = second.execute("upsampling-ns", gone, "successful")
    second.advance(10)
    assert [error["name"] for error in second.job(job)["results"]["errors"]] == ["ItemNotFound"]


@pytest.fixture(scope="module")
def shelf(start_sandbox, take_scene):
    """Seven jobs of two processes: the lab, and the jobs in their order."""
    shelf = Lab(start_sandbox(speed=0.001))
    given = {"title": "Trees", "item": self_link(shelf.buy(take_scene().id))}
    jobs = []
    for number, fate in enumerate(("successful", "failed", "running", "rejected", "captured", "successful", "invalid")):
        process_id = "upsampling-ns" if number % 2 else "detection-trees-spacept"
        jobs.append(shelf.execute(process_id, {**given, "title": f"Job {number}"}, fate))
        shelf.advance(500)
    return shelf, jobs


def ids_of(jobs):
    return [job["jobID"] for job in jobs]


def test_jobs_are_filtered(shelf):
    lab, jobs = shelf
    ids = ids_of(jobs)
    newest_first = ids[::-1]
    assert ids_of(lab.jobs()) == ids_of(lab.jobs(workspaceId=lab.sandbox.workspace_id)) == newest_first
    assert lab.jobs(workspaceId="00000000-0000-4000-8000-000000000000") == []
    assert ids_of(lab.jobs(processId="upsampling-ns")) == ids[5::-2]
    assert ids_of(lab.jobs(processId="upsampling-ns,detection-trees-spacept")) == newest_first
    assert ids_of(lab.jobs(status="running,rejected")) == [ids[3], ids[2]]
    assert ids_of(lab.jobs(ids=f"{ids[4]},{ids[1].upper()}")) == [ids[4], ids[1]]
    seconds = 1000  # the clock of this sandbox is that much slower
    assert ids_of(lab.jobs(minDuration=1000 * seconds)) == [ids[2]]
    assert ids_of(lab.jobs(maxDuration=400 * seconds)) == [ids[5], ids[4], ids[1], ids[0]]
    assert ids_of(lab.jobs(minDuration=1, maxDuration=400 * seconds, status="released")) == [ids[1]]


def test_jobs_are_sorted(shelf):
    lab, _ = shelf
    for name, read in (
        ("processID", lambda job: job["processID"]),
        ("status", lambda job: job["status"]),
        ("created", lambda job: job["created"]),
        ("creditConsumption.credits", lambda job: (job["creditConsumption"] or {"credits": -1})["credits"]),
    ):
        for direction in ("asc", "desc"):
            values = [read(job) for job in lab.jobs(sort=f"{name},{direction}")]
            assert values == sorted(values, reverse=direction == "desc"), name


@pytest.mark.parametrize("sort", ["created,desc", "created,asc", "status,asc", "creditConsumption.credits,desc"])
def test_pages_of_jobs_are_stable_under_insertions(lab, inputs, sort):
    for fate in ("successful", "running", "rejected", "failed"):
        lab.execute("true-color-conversion", inputs, fate)
    whole = ids_of(lab.jobs(sort=sort, limit=1000))
    page = lab.sandbox.get(f"{ROOT}/jobs", params={"sort": sort, "limit": 3}).json()
    found = ids_of(page["jobs"])
    while link := next((link for link in page["links"] if link["rel"] == "next"), None):
        assert link["href"].startswith(f"{ROOT}/jobs?")
        lab.execute("true-color-conversion", inputs, "running")
        lab.advance(100)
        page = lab.sandbox.get(link["href"]).json()
        assert len(page["jobs"]) <= 3
        found += ids_of(page["jobs"])
    assert found == whole
    assert len(whole) > 3


@pytest.mark.parametrize(
    "params",
    [
        {"status": "SUCCESSFUL"},
        {"sort": "mood,asc"},
        {"sort": "created,up"},
        {"limit": "0"},
        {"limit": "many"},
        {"minDuration": "-1"},
        {"ids": "x"},
        {"workspaceId": "a"},
        {"next": "rubbish"},
        {"next": "Wzk5OTk5OTk5OTk5OTk5OTk5OSwgMSwgMV0="},
    ],
)
def test_lists_that_make_no_sense_are_400(lab, params):
    answer = lab.sandbox.get(f"{ROOT}/jobs", params=params)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


def test_an_unknown_job_is_404(lab):
    assert lab.sandbox.get(f"{ROOT}/jobs/00000000-0000-4000-8000-000000000000").status_code == 404
    assert lab.sandbox.get(f"{ROOT}/jobs/x").status_code == 404
