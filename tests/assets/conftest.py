"""A pipeline over one AOI in Berlin, and its graph on an ephemeral Dagster instance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from up42_pipelines import resources
from up42_pipelines.api import Patience, Transport
from up42_pipelines.assets import Pipeline
from up42_pipelines.ingestion import build_ingestion
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.protocol import Timing
from up42_pipelines.resources import LakeResource, Up42Resource

SQUARE = [[[13.38, 52.46], [13.40, 52.46], [13.40, 52.475], [13.38, 52.475], [13.38, 52.46]]]
CHAIN = ("scenes", "orders", "stac_items", "cogs")
HASTE = Timing(lease_s=2, start_s=1, settling_s=0.5, looks=2, gap_s=0.05, skew_s=0.1, poll_s=0.05)
"""The sandbox lists an order at once."""


class Graph:
    """Definitions of one pipeline against one sandbox, with an instance and a lake of their own."""

    def __init__(
        self,
        pipeline: Pipeline,
        sandbox,
        lake: Path | str,
        *,
        username="sandbox@example.com",
        password="sandbox",
        storage_options=None,
    ):
        self.pipeline, self.sandbox, self.lake = pipeline, sandbox, lake
        self.up42 = Up42Resource(username=username, password=password, api_url=sandbox.url)
        self.instance = dg.DagsterInstance.ephemeral()
        resource = LakeResource(url=str(lake), storage_options=storage_options or {})
        self.defs = build_ingestion(pipeline, up42=self.up42, lake=resource, sensor_interval_s=1)

    def run(self, partition: str, *names: str, config: dict | None = None) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            list(self.defs.assets),
            selection=[self.pipeline.key(name) for name in names or CHAIN],
            resources=dict(self.defs.resources),
            partition_key=partition,
            instance=self.instance,
            run_config={"ops": {"orders": {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def tick(self, cursor: str | None = None) -> dg.SensorResult:
        [sensor] = self.defs.sensors
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, definitions=self.defs, resources={"up42": self.up42}
        ) as context:
            return sensor.evaluate_tick(context)

    def audit(self) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            list(self.defs.assets),
            selection=[self.pipeline.key("orders_audit")],
            resources=dict(self.defs.resources),
            instance=self.instance,
        )

    def job(self, name: str, **options) -> dg.ExecuteInProcessResult:
        """Run one of the pipeline's jobs, as its launchpad would."""
        job = self.defs.get_repository_def().get_job(name)
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def metadata(self, name: str, partition: str) -> dict:
        event = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(self.pipeline.key(name), asset_partitions=[partition]), limit=1
        ).records
        return dict(event[0].asset_materialization.metadata) if event else {}

    def is_materialized(self, name: str, partition: str) -> bool:
        return partition in self.instance.get_materialized_partitions(self.pipeline.key(name))

    def orders(self) -> list[dict]:
        """The pipeline's orders in the sandbox's ledger."""
        return [one for one in self.sandbox.ledger() if f"pipeline:{self.pipeline.name}" in (one["tags"] or [])]


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    """Why a step failed, as a person reads it."""
    [event] = [e for e in result.all_events if e.is_step_failure and e.step_key == step]
    data = event.step_failure_data
    assert data.user_failure_data, f"an exception instead of an explained failure: {data.error}"
    return data.user_failure_data.description


def figures(metadata: dict) -> dict:
    """Metadata as plain values; a table as its rows."""
    return {
        name: [dict(row.data) for row in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in metadata.items()
    }


def check_of(result: dg.ExecuteInProcessResult, name: str) -> tuple[bool, dict]:
    """Whether a check passed, and what it shows."""
    [check] = [check for check in result.get_asset_check_evaluations() if check.check_name == name]
    return check.passed, figures(check.metadata)


def failure_metadata(result: dg.ExecuteInProcessResult, step: str) -> dict:
    """What a failed step shows."""
    [event] = [e for e in result.all_events if e.is_step_failure and e.step_key == step]
    return figures(event.step_failure_data.user_failure_data.metadata)


@pytest.fixture(scope="session", autouse=True)
def helpers(lasting_helpers) -> None:
    """For all graphs."""


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, str]]:
    """Method and target of every request from now on."""
    seen: list[tuple[str, str]] = []
    send = Transport.send

    def recorded(self, method, target, **options):
        seen.append((method, target))
        return send(self, method, target, **options)

    monkeypatch.setattr(Transport, "send", recorded)
    return seen


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Resources give up at once."""
    monkeypatch.setattr(resources, "Patience", lambda: Patience(connect_s=1, read_s=2, retries=0))


@pytest.fixture
def explain():
    return failure_of


@pytest.fixture
def check():
    return check_of


@pytest.fixture
def shown():
    return figures


@pytest.fixture
def shown_by_failure():
    return failure_metadata


@pytest.fixture
def aoi_folder(tmp_path) -> Path:
    folder = tmp_path / "aois"
    folder.mkdir()
    (folder / "berlin.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": SQUARE}))
    return folder


@pytest.fixture
def make_graph(tmp_path, aoi_folder, request):
    """`make_graph(sandbox, **changes)`: each with a pipeline name of its own, so that tests do not share orders."""
    made = []

    def make(sandbox, *, lake=None, storage_options=None, username=None, password=None, **changes):
        name = changes.pop("name", f"test_{abs(hash(request.node.nodeid)) % 10**8}_{len(made)}")
        pipeline = Pipeline(
            name=name,
            aois={path.stem: str(path) for path in aoi_folder.glob("*.geojson")},
            partitions=date_by_aoi([path.stem for path in aoi_folder.glob("*.geojson")], start_date="2026-06-01"),
            collection="sandbox-optical",
            data_product="analytic",
            selection=SelectionRules(max_scenes=1),
            ceilings=Ceilings(order=1000),
            timing=HASTE,
        )
        login = {"username": username, "password": password}
        made.append(
            Graph(
                replace(pipeline, **changes),
                sandbox,
                lake or tmp_path / "lake",
                storage_options=storage_options,
                **{name: value for name, value in login.items() if value is not None},
            )
        )
        return made[-1]

    yield make
    for graph in made:
        graph.instance.dispose()
