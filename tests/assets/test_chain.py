"""The graph on a real Dagster instance, against a sandbox over HTTP, into a real folder."""

import json
from datetime import UTC, datetime

import dagster as dg
import pystac
import pytest
import requests
import rioxarray
from rio_cogeo.cogeo import cog_validate

from up42_pipelines.ordering.delivery import DeliveryState, delivery_of

DAY = "berlin|2026-06-01"


def delivered(graph):
    """True when every order of the pipeline is as far as it will come."""
    client = graph.sandbox.client()
    states = []
    for order, _ in graph.pipeline.orders_of(client, DAY):
        storage = client.storage
        states.append(
            delivery_of(
                order, storage.assets.of_order(order.id), storage.items_of_order(order.id), now=datetime.now(UTC)
            ).state
            in (DeliveryState.COMPLETE, DeliveryState.FAILED)
        )
    return bool(states) and all(states)


@pytest.fixture
def landed(make_graph, sandbox, wait_for):
    """The whole chain for one day, delivered."""
    graph = make_graph(sandbox)
    assert graph.run(DAY, "scenes", "orders").success
    wait_for(lambda: delivered(graph))
    assert graph.run(DAY, "stac_items", "cogs").success
    return graph


class TestDelivered:
    def test_valid_cogs_with_valid_stac_arrive_in_the_lake(self, landed):
        collection = landed.lake / "collections" / "sandbox-optical"
        catalog = pystac.Catalog.from_file(str(landed.lake / "catalog.json"))
        items = list(catalog.get_items(recursive=True))
        assert items
        for item in items:
            item.validate_core = True
            cogs = [asset for asset in item.assets.values() if asset.media_type == pystac.MediaType.COG]
            assert cogs
            for asset in cogs:
                valid, errors, _ = cog_validate(asset.get_absolute_href(), quiet=True)
                assert valid, errors
                with rioxarray.open_rasterio(asset.get_absolute_href()) as pixels:
                    assert not pixels.variable._in_memory
                    assert pixels.dtype == "uint16"
                    assert pixels.rio.crs.is_projected
                    assert int(pixels.max()) > 0
                assert asset.extra_fields["file:checksum"].startswith("1220")
            assert item.properties["up42-order:id"]
            assert any(link.rel == "derived_from" for link in item.links)
        assert (collection / "collection.json").is_file()

    def test_what_flows_between_the_assets_is_readable_json(self, landed):
        for name in ("scenes", "orders", "stac_items", "cogs"):
            body = json.loads((landed.lake / "assets" / name / "berlin" / "2026-06-01.json").read_text())
            assert body["type"] == "FeatureCollection"
            assert body["features"]
            pystac.ItemCollection.from_dict(body)

    def test_metadata_people_look_at(self, landed):
        scenes = landed.metadata("scenes", DAY)
        assert scenes["quicklook"].md_str.startswith("![quicklook](data:image/png;base64,")
        assert scenes["map"].md_str.startswith("![footprints](data:image/svg+xml;base64,")
        assert 0 < scenes["coverage_percent"].value <= 100
        assert 0 <= scenes["cloud_cover_percent"].value <= 100
        orders = landed.metadata("orders", DAY)
        assert orders["credits"].value > 0
        assert orders["orders"].value == orders["orders_placed_now"].value == 1
        cogs = landed.metadata("cogs", DAY)
        assert cogs["quicklook"].md_str.startswith("![quicklook](data:image/png;base64,")
        assert cogs["size_bytes"].value > 0
        assert cogs["table"].value.records if hasattr(cogs["table"].value, "records") else cogs["table"].records

    def test_again_fetches_and_buys_nothing(self, landed):
        before = landed.orders()
        assert landed.run(DAY).success
        assert landed.orders() == before
        assert landed.metadata("orders", DAY)["orders_placed_now"].value == 0
        assert landed.metadata("orders", DAY)["credits"].value > 0
        assert landed.metadata("cogs", DAY)["bytes_fetched"].value == 0

    def test_a_lost_instance_and_a_lost_lake_are_found_again_at_up42(self, landed, make_graph, sandbox, tmp_path):
        again = make_graph(sandbox, name=landed.pipeline.name, lake=tmp_path / "another")
        assert again.run(DAY).success
        assert again.orders() == landed.orders()
        assert again.is_materialized("cogs", DAY)


class TestBeforeDelivery:
    def test_downstream_skips_and_says_so(self, make_graph, slow_sandbox, capsys):
        graph = make_graph(slow_sandbox)
        result = graph.run(DAY)
        assert result.success
        assert graph.is_materialized("orders", DAY)
        assert not graph.is_materialized("stac_items", DAY)
        assert {e.step_key for e in result.all_events if e.is_step_skipped} == {"cogs"}
        assert len(graph.orders()) == 1
        assert "Waiting for UP42: skipped" in capsys.readouterr().err

    def test_an_order_that_up42_does_not_list_yet_makes_no_empty_day(self, make_graph, slow_sandbox, capsys):
        graph, faults = make_graph(slow_sandbox), f"{slow_sandbox.url}/sandbox/faults"
        lag = {"kind": "list_lag", "seconds": 3600, "times": None}
        requests.post(faults, json={"faults": [lag]}, timeout=10).raise_for_status()
        try:
            result = graph.run(DAY)
        finally:
            requests.delete(faults, timeout=10).raise_for_status()
        assert result.success
        assert len(graph.orders()) == 1
        assert not graph.is_materialized("stac_items", DAY)
        assert {e.step_key for e in result.all_events if e.is_step_skipped} == {"cogs"}
        assert "UP42 lists no order of this partition (yet): skipped" in capsys.readouterr().err

    def test_ordering_again_adopts(self, make_graph, slow_sandbox):
        graph = make_graph(slow_sandbox)
        for expected in (1, 0, 0):
            assert graph.run(DAY, "scenes", "orders").success
            assert graph.metadata("orders", DAY)["orders_placed_now"].value == expected
        assert len(graph.orders()) == 1

    def test_generation_buys_again_on_purpose(self, make_graph, slow_sandbox):
        graph = make_graph(slow_sandbox)
        assert graph.run(DAY, "scenes", "orders").success
        assert graph.run(DAY, "orders", config={"generation": 2}).success
        assert graph.run(DAY, "orders", config={"generation": 2}).success
        assert len(graph.orders()) == 2

    def test_two_pipelines_do_not_take_each_others_orders(self, make_graph, slow_sandbox):
        first, second = make_graph(slow_sandbox), make_graph(slow_sandbox)
        assert first.run(DAY, "scenes", "orders").success
        assert second.run(DAY, "scenes", "orders").success
        assert [len(graph.orders()) for graph in (first, second)] == [1, 1]


class TestNothingToBuy:
    def test_a_day_without_scenes_is_done_at_once(self, make_graph, slow_sandbox):
        from up42_pipelines.ordering.selection import SelectionRules

        graph = make_graph(slow_sandbox, selection=SelectionRules(max_cloud_cover_percent=0, min_coverage_percent=100))
        days = [f"berlin|2026-06-{day:02d}" for day in range(1, 10)]
        empty = next(day for day in days if graph.run(day, "scenes").success and not _items(graph, "scenes", day))
        assert graph.run(empty).success
        assert graph.orders() == []
        assert graph.metadata("cogs", empty)["items"].value == 0


def _items(graph, name, partition):
    path = graph.lake / "assets" / name / partition.replace("|", "/")
    return json.loads(path.with_suffix(".json").read_text())["features"]


def test_definitions_have_everything_people_expect(make_graph, slow_sandbox):
    graph = make_graph(slow_sandbox)
    repository = graph.defs.get_repository_def()
    name = graph.pipeline.name
    jobs = {f"{name}_{job}" for job in ("ingest", "approve", "deliver", "audit", "dry_run")}
    assert jobs <= {job.name for job in repository.get_all_jobs()}
    # What spends does not start by itself; what only looks does.
    assert {schedule.name: schedule.default_status for schedule in repository.schedule_defs} == {
        f"{name}_daily": dg.DefaultScheduleStatus.STOPPED,
        f"{name}_audit_daily": dg.DefaultScheduleStatus.RUNNING,
    }
    [sensor] = repository.sensor_defs
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    for spec in graph.defs.resolve_all_asset_specs():
        assert spec.description
        assert spec.kinds
        assert spec.group_name
        audits = spec.key == graph.pipeline.key("orders_audit")
        assert spec.partitions_def == (None if audits else graph.pipeline.partitions)
