"""What a result tells about the job that made it, and how it is linked to what it was made of."""

from datetime import UTC, datetime

import pystac
import pytest

from up42_pipelines.api.processing import Job
from up42_pipelines.lake import item_folder
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.provenance import inputs_of, linked_to_sources, source_ids, told_of_job

STORAGE = "https://api.up42.com/v2/assets/stac/collections"
SOURCE, REFERENCE = f"{STORAGE}/c1/items/source", f"{STORAGE}/c2/items/reference/"
KEY = "0123456789abcdef" * 2


def item(item_id="result", collection_id=None):
    made = pystac.Item(
        id=item_id, geometry=None, bbox=None, datetime=datetime(2026, 6, 4, tzinfo=UTC), properties={"gsd": 0.5}
    )
    made.collection_id = collection_id
    made.set_self_href(f"{STORAGE}/c3/items/{item_id}")
    return made


def job(**changes):
    title = JobTitle(workflow="enhance", step="change", partition="rome|2026-06-04", key=KEY, credits=7)
    body = {
        "jobID": "j1",
        "processID": "detection-change-simularity",
        "status": "captured",
        "definition": {
            "inputs": {"title": str(title), "sourceItem": SOURCE, "referenceItem": REFERENCE, "sensitivity": 2}
        },
        "creditConsumption": {"credits": 7},
        "finished": "2026-06-05T01:02:03Z",
    }
    return Job.parse(body | changes)


def test_a_result_tells_process_job_inputs_price_and_key():
    source = item()
    told = told_of_job(source, job()).properties
    assert told["gsd"] == 0.5
    assert told["processing:expression"] == {
        "format": "up42-process",
        "expression": {
            "process": "detection-change-simularity",
            "job": "j1",
            "inputs": {"sourceItem": SOURCE, "referenceItem": REFERENCE, "sensitivity": 2},
        },
    }
    assert told["processing:datetime"] == "2026-06-05T01:02:03+00:00"
    assert told["processing:facility"] == "UP42"
    assert "job j1" in told["processing:lineage"]
    assert {name: value for name, value in told.items() if name.startswith("up42:")} == {
        "up42:process_id": "detection-change-simularity",
        "up42:job_id": "j1",
        "up42:credits": 7,
        "up42:job_key": KEY,
    }
    assert source.properties == {"gsd": 0.5, "datetime": "2026-06-04T00:00:00Z"}


def test_what_up42_does_not_say_is_left_out():
    told = told_of_job(item(), job(creditConsumption=None, finished=None, definition={"inputs": {"title": "mine"}}))
    assert not {"up42:credits", "up42:job_key", "processing:datetime"} & told.properties.keys()


def test_what_was_written_is_read_back():
    assert source_ids(inputs_of(told_of_job(item(), job()))) == ["source", "reference"]


@pytest.mark.parametrize(
    "properties", [{}, {"processing:expression": "b1+b2"}, {"processing:expression": {"format": "gdal-calc"}}]
)
def test_an_item_that_no_job_of_ours_made_has_no_inputs(properties):
    other = item()
    other.properties |= properties
    assert inputs_of(other) == {}


@pytest.mark.parametrize(
    ("inputs", "ids"),
    [
        ({"items": [SOURCE, REFERENCE, SOURCE]}, ["source", "reference"]),
        ({"options": {"mask": SOURCE}, "title": "x"}, ["source"]),
        ({"item": "https://example.com/items/other", "collection": f"{STORAGE}/c1"}, []),
    ],
)
def test_sources_are_found_wherever_they_are_among_the_inputs(inputs, ids):
    assert source_ids(inputs) == ids


def test_links_lead_from_the_results_place_in_the_lake_to_those_of_its_sources():
    result = linked_to_sources(item(), [item("source", "sandbox-optical"), item("a/b", "Enhance pansharpen")])
    links = [link for link in result.links if link.rel == "derived_from"]
    unsafe = item_folder("Enhance pansharpen", "a/b")
    assert [link.target for link in links] == [
        "../../sandbox-optical/source/source.json",
        f"../../{unsafe[1]}/{unsafe[2]}/{unsafe[2]}.json",
    ]
    result.set_self_href("/lake/collections/enhance-change/result/result.json")
    assert links[0].get_absolute_href() == "/lake/collections/sandbox-optical/source/source.json"
