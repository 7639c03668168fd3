"""Bad input: one clear error on the failing partition, nothing half-published, and a re-run continues."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import requests

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.resources import Up42Resource

DAY = "berlin|2026-06-01"
PROJECT = Path(__file__).resolve().parents[2]


def test_a_bad_aoi_fails_its_own_partitions_only(make_graph, slow_sandbox, aoi_folder, explain):
    bowtie = [[[13.38, 52.46], [13.40, 52.475], [13.40, 52.46], [13.38, 52.475], [13.38, 52.46]]]
    (aoi_folder / "bowtie.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": bowtie}))
    graph = make_graph(slow_sandbox)
    bad = graph.run("bowtie|2026-06-01")
    assert not bad.success
    assert "bowtie.geojson: simple: Self-intersection" in explain(bad, "scenes")
    assert graph.run(DAY).success
    assert graph.run("bowtie|2026-06-02").success is False
    (aoi_folder / "bowtie.geojson").write_text((aoi_folder / "berlin.geojson").read_text())
    assert graph.run("bowtie|2026-06-01").success


def test_an_unknown_collection_names_it(make_graph, slow_sandbox, explain):
    result = make_graph(slow_sandbox, collection="phr-typo").run(DAY)
    assert "phr-typo" in explain(result, "scenes")
    assert "404" in explain(result, "scenes")


def test_an_unknown_data_product_lists_those_there_are(make_graph, slow_sandbox, explain):
    graph = make_graph(slow_sandbox, data_product="analytics")
    result = graph.run(DAY)
    assert "no data product 'analytics'" in explain(result, "orders")
    assert "analytic (" in explain(result, "orders")
    assert graph.orders() == []


def test_parameters_that_the_order_form_does_not_know_are_refused_before_anything_is_asked(
    make_graph, slow_sandbox, explain, sent
):
    graph = make_graph(slow_sandbox, params={"projection": "4326"})
    result = graph.run(DAY)
    assert "'projection' was unexpected" in explain(result, "orders")
    assert "the form has id" in explain(result, "orders")
    assert ("POST", "/v2/orders/estimate") not in sent
    assert graph.orders() == []


def test_wrong_credentials_say_where_to_look(make_graph, slow_sandbox, explain):
    result = make_graph(slow_sandbox, password="wrong").run(DAY)
    assert "Invalid user credentials" in explain(result, "scenes")
    assert "UP42_USERNAME" in explain(result, "scenes")


def test_missing_credentials_name_the_variables(make_graph, slow_sandbox, explain):
    result = make_graph(slow_sandbox, username="", password="").run(DAY)
    assert "UP42_USERNAME and UP42_PASSWORD" in explain(result, "scenes")


@pytest.mark.usefixtures("impatient")
def test_an_unreachable_host_says_that_nothing_was_sent(make_graph, explain):
    class Nowhere:
        url = "http://127.0.0.1:9"

    result = make_graph(Nowhere()).run(DAY)
    assert "UP42 cannot be reached" in explain(result, "scenes")


@pytest.mark.usefixtures("impatient")
def test_a_sandbox_killed_in_the_middle_fails_cleanly_and_a_rerun_continues(make_graph, start_sandbox, explain):
    sandbox = start_sandbox("--speed", "0.01")
    graph = make_graph(sandbox)
    assert graph.run(DAY, "scenes").success
    port = sandbox.port
    sandbox.kill()
    result = graph.run(DAY, "orders")
    assert not result.success
    assert "cannot be reached" in explain(result, "orders")
    sandbox.start(port)
    assert graph.orders() == []
    assert graph.run(DAY, "orders").success
    assert len(graph.orders()) == 1


def test_too_expensive_is_refused_before_it_is_placed(make_graph, slow_sandbox, explain):
    graph = make_graph(slow_sandbox, ceilings=Ceilings(order=1))
    result = graph.run(DAY)
    assert "the ceiling per order is 1" in explain(result, "orders")
    assert "Nothing was placed" in explain(result, "orders")
    assert graph.orders() == []


def test_an_unwritable_lake_is_named_and_nothing_is_bought(make_graph, slow_sandbox, tmp_path, explain):
    (tmp_path / "file").write_text("in the way")
    graph = make_graph(slow_sandbox, lake=tmp_path / "file" / "lake")
    result = graph.run(DAY)
    assert not result.success
    assert str(tmp_path / "file") in explain(result, "scenes")
    assert graph.orders() == []


@pytest.mark.parametrize(
    ("recorded", "message"),
    [(True, "crc32c"), (False, "none of TIFF, NITF and JPEG 2000")],
    ids=["damaged", "no raster"],
)
def test_a_bad_file_publishes_nothing_and_lands_once_it_is_replaced(
    make_graph, start_sandbox, explain, wait_for, recorded, message
):
    sandbox = start_sandbox("--speed", "5000")
    graph = make_graph(sandbox)
    assert graph.run(DAY, "scenes", "orders").success
    client = sandbox.client()
    [(order, _)] = graph.pipeline.orders_of(client, DAY)
    items = wait_for(lambda: client.storage.items_of_order(order.id))
    href = next(asset.href for item in items for asset in item.assets.values() if "data" in asset.roles)
    assert requests.get(client.storage.assets.download_url(href), timeout=10).ok  # the sandbox renders it now
    file_id = href.rsplit("/", 1)[1]
    [file] = [path for path in (sandbox.state / "files").rglob("*") if path.stem == file_id]
    good = file.read_bytes()

    def replace(content: bytes, *, keep_checksum: bool) -> None:
        file.write_bytes(content)
        if not keep_checksum:
            with closing(sqlite3.connect(sandbox.state / "sandbox.sqlite")) as state, state:
                state.execute("UPDATE files SET size = NULL, md5 = NULL, crc32c = NULL WHERE id = ?", (file_id,))

    page = b"<html>please log in</html>"
    replace(page + bytes(len(good) - len(page)), keep_checksum=recorded)
    result = graph.run(DAY, "stac_items", "cogs")
    assert not result.success
    assert message in explain(result, "cogs")
    assert not list(graph.lake.glob("collections/*/*/*.json"))
    assert not list(graph.lake.glob("collections/*/*/*.tif"))
    replace(good, keep_checksum=False)
    assert graph.run(DAY, "stac_items", "cogs").success
    assert list(graph.lake.glob("collections/*/*/*.tif"))


def test_a_failed_order_is_told_and_stays_visible(make_graph, start_sandbox, explain, wait_for):
    sandbox = start_sandbox("--speed", "100000")
    graph = make_graph(sandbox)
    client = sandbox.client()
    days = [f"berlin|2026-{month:02d}-{day:02d}" for month in (6, 7, 8) for day in range(1, 29)]

    def a_failed_day():
        for day in days:
            assert graph.run(day, "scenes", "orders").success
            for order, _ in graph.pipeline.orders_of(client, day):
                final = wait_for(lambda order=order: (o := client.orders.get(order.id)).is_final and o)
                if final.is_failed:
                    return day
        return None

    day = a_failed_day()
    assert day, "the sandbox gives up one order in twenty"
    result = graph.run(day, "stac_items", "cogs")
    assert not result.success
    assert "FAILED_PERMANENTLY" in explain(result, "stac_items")
    assert "higher `generation`" in explain(result, "stac_items")
    [check] = [e for e in result.all_events if e.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION]
    assert not check.asset_check_evaluation_data.passed


class TestWithoutAnAccount:
    def test_the_location_loads(self):
        script = (
            "import json; from assets_defs.definitions import defs; r = defs.get_repository_def();"
            "print(json.dumps([k.to_user_string() for k in r.asset_graph.get_all_asset_keys()]))"
        )
        env = {name: value for name, value in os.environ.items() if not name.startswith("UP42_")}
        said = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=PROJECT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        chain = {"cogs", "orders", "orders_audit", "scenes", "stac_items"}
        steps = {
            f"enhance/{step}/{name}"
            for step in ("pansharpen", "true_color", "buildings", "change")
            for name in ("processing_jobs", "processed_items", "processed_cogs")
        }
        assert set(json.loads(said.stdout)) == chain | {f"bundle/{name}" for name in chain} | steps

    def test_importing_the_library_does_no_io_and_configures_no_logging(self):
        script = (
            "import socket, logging, sys;"
            "socket.socket.connect = socket.socket.connect_ex = lambda *a: sys.exit('network on import');"
            "before = list(logging.getLogger().handlers);"
            "import up42_pipelines, up42_pipelines.ingestion, up42_pipelines.cli;"
            "assert logging.getLogger().handlers == before; print('quiet')"
        )
        said = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=False)
        assert said.stdout == "quiet\n", said.stderr

    def test_the_first_call_explains(self):
        with pytest.raises(ConfigurationError, match="UP42_USERNAME"):
            _ = Up42Resource().client

    @pytest.mark.filterwarnings("ignore:Property .ScheduleDefinition.environment_vars:DeprecationWarning")
    def test_secrets_are_in_no_definition(self, monkeypatch):
        monkeypatch.setenv("UP42_USERNAME", "me@example.com")
        monkeypatch.setenv("UP42_PASSWORD", "a-very-secret-word")
        from up42_pipelines.assets import Pipeline
        from up42_pipelines.ingestion import build_ingestion
        from up42_pipelines.partitions import date_by_aoi
        from up42_pipelines.resources import LakeResource

        pipeline = Pipeline(
            name="secrets",
            aois={"a": "a.geojson"},
            partitions=date_by_aoi(["a"], start_date="2026-06-01"),
            collection="c",
            data_product="p",
        )
        defs = build_ingestion(pipeline, up42=Up42Resource.from_env(), lake=LakeResource(url="lake"))
        from dagster._core.remote_representation.external_data import RepositorySnap
        from dagster._serdes import serialize_value

        snapshot = serialize_value(RepositorySnap.from_def(defs.get_repository_def()))
        assert "UP42_PASSWORD" in snapshot
        assert "a-very-secret-word" not in snapshot
