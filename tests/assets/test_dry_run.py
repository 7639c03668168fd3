"""The dry run foretells what the assets then buy, and buys nothing itself."""

import json
import threading

import dagster as dg
import numpy as np
import pytest
import rasterio
import requests
from affine import Affine
from shapely.geometry import box

from up42_pipelines.assets import dry_run
from up42_pipelines.ordering.aoi import read_aoi
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.purchasing.budget import Ceilings

FREE = ("/v2/orders/estimate", "/catalog/hosts/sandbox-host/stac/search")
RANGE = "2026-06-01..2026-06-03"
DAY = "berlin|2026-06-01"
SQUARE = box(13.4, 52.46, 13.41, 52.465)
TWO_SCENES = SelectionRules(max_scenes=None)
"""On that day two scenes touch the AOI."""


@pytest.fixture
def foretell():
    """`foretell(graph, partitions)`: run the dry run job; its forecasts by partition, in their order."""

    def run(graph, partitions):
        result = execute(graph, partitions)
        assert result.success
        forecasts = result.output_for_node(dry_run.op_name(graph.pipeline.name))
        return {one.partition: one for one in forecasts}

    return run


def execute(graph, partitions):
    job = graph.defs.resolve_job_def(graph.pipeline.dry_run_job)
    config = dry_run.dry_run_config(graph.pipeline.name, partitions)
    return job.execute_in_process(run_config=config, instance=graph.instance, raise_on_error=False)


@pytest.fixture(scope="module")
def troubled(start_sandbox):
    """A sandbox whose faults may be changed."""
    return start_sandbox("--speed", "0.01")


@pytest.fixture
def fault(troubled):
    """`fault(kind=..., ...)`: let something go wrong, until the test ends."""

    def add(**rule):
        requests.post(f"{troubled.url}/sandbox/faults", json={"faults": [rule]}, timeout=10).raise_for_status()

    yield add
    requests.delete(f"{troubled.url}/sandbox/faults", timeout=10).raise_for_status()


def test_it_foretells_what_is_bought_then_and_spends_nothing(make_graph, slow_sandbox, foretell, sent):
    graph = make_graph(slow_sandbox)
    before = slow_sandbox.ledger()
    forecasts = foretell(graph, RANGE)
    assert slow_sandbox.ledger() == before
    posts = [target for method, target in sent if method != "GET"]
    assert [target for target in posts if not target.endswith(FREE)] == []
    assert sum(target.endswith("/search") for target in posts) == len(forecasts) == 3

    bought = {}
    for partition in forecasts:
        assert graph.run(partition, "scenes", "orders").success
        metadata = graph.metadata("scenes", partition) | graph.metadata("orders", partition)
        names = ("scenes_found", "scenes_chosen", "orders", "credits")
        bought[partition] = tuple(metadata[name].value for name in names)
    assert sum(credits for *_, credits in bought.values()) > 0
    assert bought == {
        partition: (one.scenes_found, one.scenes_chosen, len(one.orders), one.credits)
        for partition, one in forecasts.items()
    }


def test_what_is_ordered_already_costs_nothing_again(make_graph, slow_sandbox, foretell, sent):
    graph = make_graph(slow_sandbox, selection=TWO_SCENES, bytes_per_pixel=8)
    assert foretell(graph, DAY)[DAY].existing == 0
    assert graph.run(DAY, "scenes", "orders").success
    sent.clear()
    one = foretell(graph, DAY)[DAY]
    assert (len(one.orders), one.existing, one.credits, one.expected_bytes) == (2, 2, 0, 0)
    assert ("POST", "/v2/orders/estimate") not in sent


def test_nothing_is_materialized_and_the_run_page_shows_all(make_graph, slow_sandbox):
    graph = make_graph(slow_sandbox)
    result = execute(graph, RANGE)
    kinds = {event.event_type for event in result.all_events}
    assert not kinds & {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    assert not list(graph.lake.glob("**/*"))
    [output] = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_OUTPUT]
    metadata = output.step_output_data.metadata
    assert (metadata["partitions"].value, metadata["credits"].value) == (3, 23)
    assert "expected bytes, uncompressed" not in metadata  # unknown
    rows = [row.data for row in metadata["per partition"].records]
    assert [row["partition"] for row in rows] == [f"berlin|2026-06-0{day}" for day in (1, 2, 3)]
    assert rows[0] == {
        "partition": DAY,
        "scenes found": 2,
        "scenes chosen": 1,
        "orders": 1,
        "existing": 0,
        "credits": 23,
        "expected bytes, uncompressed": "unknown",
        "problem": "",
    }
    told = [entry.user_message for entry in graph.instance.all_logs(result.run_id) if entry.dagster_event is None]
    assert told[0] == f"1 of 3: {DAY}: 2 scenes found, 1 chosen, 1 orders (0 exist), 23 credits"
    assert len(told) == 3


def test_the_expected_size_is_that_of_the_ordered_area(make_graph, slow_sandbox, foretell, aoi_folder):
    graph = make_graph(slow_sandbox, bytes_per_pixel=8)
    aoi = read_aoi(aoi_folder / "berlin.geojson")
    pixels = aoi.area_km2 * 1e6 / 3**2
    assert foretell(graph, DAY)[DAY].expected_bytes == pytest.approx(pixels * 8, abs=1)


def test_a_full_scene_is_expected_in_its_full_size(make_graph, start_sandbox, foretell, tmp_path, aoi_folder):
    imagery = tmp_path / "imagery"
    imagery.mkdir()
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "width": 400, "height": 300, "crs": "EPSG:32633"}
    with rasterio.open(
        imagery / "scene.tif", "w", transform=Affine(10, 0, 390_000, 0, -10, 5_815_000), **profile
    ) as file:
        file.write(np.ones((3, 300, 400), "uint16"))
    sandbox = start_sandbox("--imagery", str(imagery))
    (aoi_folder / "berlin.geojson").write_text(json.dumps(SQUARE.__geo_interface__))
    graph = make_graph(
        sandbox, collection="sandbox-imagery", data_product="full-scene", bytes_per_pixel=6, selection=TWO_SCENES
    )
    [one] = [one for one in foretell(graph, RANGE).values() if one.orders]
    assert (len(one.orders), one.credits) == (1, 500)
    assert one.expected_bytes == pytest.approx(400 * 300 * 6, rel=0.02)


def test_a_bad_aoi_is_a_row_with_its_reason_and_the_others_go_on(make_graph, slow_sandbox, foretell, aoi_folder):
    (aoi_folder / "broken.geojson").write_text("{")
    forecasts = foretell(make_graph(slow_sandbox), "2026-06-01")
    assert forecasts[DAY].credits == 23
    broken = forecasts["broken|2026-06-01"]
    assert broken.scenes_found is None
    assert "broken.geojson: json" in broken.problems[0]


def test_params_that_do_not_fit_are_told_and_what_was_found_stays(make_graph, slow_sandbox, foretell):
    one = foretell(make_graph(slow_sandbox, params={"colour": "red"}), DAY)[DAY]
    assert (one.scenes_found, one.scenes_chosen, one.orders) == (2, 1, ())
    assert "'colour' was unexpected" in one.problems[0]


def test_an_order_above_the_ceiling_is_told_and_not_counted(make_graph, slow_sandbox, foretell):
    one = foretell(make_graph(slow_sandbox, ceilings=Ceilings(order=22)), DAY)[DAY]
    assert (len(one.orders), one.credits) == (1, 0)
    assert "would cost 23 credits, the ceiling per order is 22" in one.problems[0]


def test_an_order_without_a_price_is_told_and_its_neighbour_goes_on(make_graph, troubled, foretell, fault):
    fault(kind="status", status=422, method="POST", path="/v2/orders/estimate")
    one = foretell(make_graph(troubled, selection=TWO_SCENES), DAY)[DAY]
    assert [order.problem is None for order in one.orders] == [False, True]
    assert "422" in one.problems[0]
    assert one.credits == one.orders[1].credits > 0


def test_a_partition_whose_search_fails_is_told_and_the_others_go_on(make_graph, troubled, foretell, fault):
    fault(kind="status", status=400, method="POST", path="*/stac/search", times=1)
    forecasts = foretell(make_graph(troubled), RANGE)
    assert [len(one.problems) for one in forecasts.values()].count(1) == 1
    assert [one.scenes_found for one in forecasts.values()].count(None) == 1


def test_several_partitions_are_asked_for_at_once(make_graph, slow_sandbox, foretell, monkeypatch):
    together = threading.Barrier(2, timeout=20)
    find_scenes = dry_run.find_scenes

    def meet(*arguments):
        together.wait()
        return find_scenes(*arguments)

    monkeypatch.setattr(dry_run, "find_scenes", meet)
    assert len(foretell(make_graph(slow_sandbox), "2026-06-01..2026-06-04")) == 4


def test_the_code_location_s_own_io_manager_is_left_alone(make_graph, slow_sandbox):
    class Picky(dg.IOManager):
        def handle_output(self, _context, obj):
            raise TypeError(f"no data frame: {obj}")

        def load_input(self, _context):
            raise NotImplementedError

    graph = make_graph(slow_sandbox)
    jobs = [dry_run.dry_run_job(graph.pipeline, graph.up42)]
    graph.defs = dg.Definitions(jobs=jobs, resources={"io_manager": Picky()})
    assert execute(graph, DAY).success


def test_wrong_credentials_end_it_with_one_sentence(make_graph, slow_sandbox, explain):
    graph = make_graph(slow_sandbox, password="wrong")
    result = execute(graph, RANGE)
    said = explain(result, dry_run.op_name(graph.pipeline.name))
    assert said.startswith(f"Dry run of {RANGE}: ")
    assert "UP42_USERNAME" in said


@pytest.mark.usefixtures("impatient")
def test_when_up42_goes_away_it_ends_instead_of_failing_row_by_row(make_graph, start_sandbox, explain, monkeypatch):
    sandbox = start_sandbox()
    read_offer = dry_run.read_offer

    def then_away(*arguments):
        offer = read_offer(*arguments)
        sandbox.kill()
        return offer

    monkeypatch.setattr(dry_run, "read_offer", then_away)
    graph = make_graph(sandbox)
    assert "cannot be reached" in explain(execute(graph, RANGE), dry_run.op_name(graph.pipeline.name))


def test_a_range_that_is_none_fails_before_anything_is_asked(make_graph, slow_sandbox, explain, sent):
    graph = make_graph(slow_sandbox)
    assert "ends before it begins" in explain(
        execute(graph, "2026-06-03..2026-06-01"), dry_run.op_name(graph.pipeline.name)
    )
    assert sent == []
