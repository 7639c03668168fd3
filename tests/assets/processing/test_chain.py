"""What was delivered is processed step by step, driven by the sensor, and every result tells where it comes from."""

import dagster as dg
import pystac
import pytest

from up42_pipelines.lake import collection_folder, read_features, read_item
from up42_pipelines.lake.quality import Check
from up42_pipelines.processing.templates import (
    DetectionBuildingsSpacept,
    DetectionChangeSimularity,
    Pansharpening,
    TrueColorConversion,
)
from up42_pipelines.processing.workflow import Step

BEFORE, DAY = "rome|2026-06-03", "rome|2026-06-04"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PARQUET = "application/vnd.apache.parquet"
STEPS = ("pansharpen", "true_color", "buildings")


def driven(work):
    """Do what the sensor asks for, until it asks for nothing more. The runs."""
    cursor, runs = None, []
    while True:
        work.works.advance()
        tick = work.tick(cursor)
        cursor = tick.cursor
        if not tick.run_requests:
            return runs
        runs += [work.job(one.job_name, one.partition_key) for one in tick.run_requests]


@pytest.fixture(scope="module")
def sources(works):
    """What has landed, by day."""
    return {day: works.landed(day) for day in (BEFORE, DAY)}


@pytest.fixture(scope="module")
def chain(works, sources):
    """Sharper, in true colour, buildings in that; done by the sensor alone after the first jobs were bought."""
    works.fates()
    work = works.workflow(
        Step(name="pansharpen", template=Pansharpening()),
        Step(name="true_color", template=TrueColorConversion(), of="pansharpen"),
        Step(name="buildings", template=DetectionBuildingsSpacept(), of="true_color"),
    )
    assert work.start(DAY).success
    assert [run.success for run in driven(work)] == [True, True, True]
    return work


@pytest.fixture(scope="module")
def change(works, sources):
    """What differs from the day before, in what has landed."""
    works.fates()
    work = works.workflow(Step(name="change", template=DetectionChangeSimularity(sensitivity=3), reference_days=1))
    assert work.start(DAY).success
    assert [run.success for run in driven(work)] == [True]
    return work


def test_every_step_lands_one_result_for_each_item(chain, sources):
    results = {step: chain.items(step, DAY) for step in STEPS}
    assert {step: len(items) for step, items in results.items()} == dict.fromkeys(STEPS, len(sources[DAY]))
    types = {step: {asset.media_type for asset in items[0].assets.values()} for step, items in results.items()}
    assert COG in types["pansharpen"] & types["true_color"]
    assert PARQUET in types["buildings"]
    assert COG not in types["buildings"]


def test_results_are_in_a_collection_of_their_step(chain, works):
    for step in STEPS:
        [item] = chain.items(step, DAY)
        committed = read_item(works.lake, f"{chain.pipeline.name}-{step}", item.id)
        assert committed is not None
        assert committed.collection_id == f"{chain.pipeline.name}-{step}"


def test_a_result_is_linked_to_the_items_it_was_made_of(chain, change, works, sources):
    """Followed by their relative links, as any STAC reader does, results lead back to the delivery."""
    [source], [reference] = sources[DAY], sources[BEFORE]
    [item] = chain.items("buildings", DAY)
    visited = []
    while item.id != source.id:
        item.set_self_href(works.lake.href(*collection_folder(item.collection_id), item.id, f"{item.id}.json"))
        [link] = [one for one in item.links if one.rel == "derived_from" and not str(one.target).startswith("http")]
        item = pystac.Item.from_file(link.get_absolute_href())
        visited.append(item.id)
    assert visited == [chain.items("true_color", DAY)[0].id, chain.items("pansharpen", DAY)[0].id, source.id]
    [compared] = change.items("change", DAY)
    targets = [str(one.target) for one in compared.links if one.rel == "derived_from"]
    assert [target.rsplit("/", 2)[1] for target in targets[1:]] == [source.id, reference.id]


def test_a_result_tells_the_job_that_made_it(change):
    [item], [job] = change.items("change", DAY), change.jobs()
    expression = item.properties["processing:expression"]["expression"]
    assert expression["process"] == "detection-change-simularity"
    assert expression["inputs"]["sensitivity"] == 3
    assert set(expression["inputs"]) == {"sourceItem", "referenceItem", "sensitivity"}
    assert (expression["job"], item.properties["up42:job_id"]) == (job["id"], job["id"])
    assert item.properties["up42:credits"] == job["credits"] > 0
    assert item.properties["up42:job_key"] in job["title"]
    assert "detection-change-simularity" in item.properties["processing:lineage"]
    assert item.properties["processing:datetime"]


def test_changes_are_found_as_features(change, works):
    [item] = change.items("change", DAY)
    [asset] = [asset for asset in item.assets.values() if asset.media_type == PARQUET]
    assert read_features(works.lake, asset.href, 10)


def test_every_check_of_deliveries_is_made_of_results(chain):
    for step in STEPS:
        key = chain.pipeline.key(step, "processed_cogs")
        keys = [dg.AssetCheckKey(key, str(check)) for check in Check]
        found = {one: chain.instance.event_log_storage.get_asset_check_execution_history(one, limit=1) for one in keys}
        assert {one.name for one, records in found.items() if records} == {str(check) for check in Check}
        assert all(records[0].event.asset_check_evaluation.passed for records in found.values())


def test_metadata_tell_cost_duration_and_show_before_and_after(chain, shown):
    job = chain.jobs()[0]
    metadata = shown(chain.metadata("pansharpen", "processed_cogs", DAY))
    assert metadata["credits"] == job["credits"] > 0
    assert metadata["job_seconds"] > 0
    assert metadata["before_after"].count("data:image/jpeg;base64,") == 2
    assert metadata["cogs"] == metadata["items"] == 1
    [row] = shown(chain.metadata("pansharpen", "processed_items", DAY))["jobs"]
    assert (row["job"], row["status"], row["credits"]) == (job["id"], "successful", job["credits"])
    assert row["seconds"] == metadata["job_seconds"]


def test_metadata_show_features_over_the_image(chain, shown):
    metadata = shown(chain.metadata("buildings", "processed_cogs", DAY))
    assert "data:image/png;base64," in metadata["features"]
    [row] = metadata["table"]
    assert row["href"].endswith(".parquet")


def test_doing_all_of_it_again_buys_and_fetches_nothing(chain, shown):
    bought = chain.jobs()
    versions = [chain.data_version(step, DAY) for step in STEPS]
    assert len(set(versions)) == len(STEPS)  # other files, another version
    assert chain.start(DAY).success
    for step in STEPS:
        assert chain.collect(step, DAY).success
        assert shown(chain.metadata(step, "processed_cogs", DAY))["bytes_fetched"] == 0
    assert chain.jobs() == bought
    assert [chain.data_version(step, DAY) for step in STEPS] == versions
