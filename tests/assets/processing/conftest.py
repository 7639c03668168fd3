"""Workflows on what one pipeline has landed in Rome, at a sandbox of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pystac
import pytest
import requests
from shapely.geometry import shape

from up42_pipelines.api import OrderInput
from up42_pipelines.assets import Pipeline, ProcessingPipeline
from up42_pipelines.ingestion import build_ingestion
from up42_pipelines.io_managers import stored_items
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.processing.workflow import Workflow
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.protocol import Timing
from up42_pipelines.resources import LakeResource, Up42Resource
from up42_pipelines.workflows import build_workflow

SQUARE = [[[12.48, 41.88], [12.49, 41.88], [12.49, 41.89], [12.48, 41.89], [12.48, 41.88]]]
HASTE = Timing(lease_s=2, start_s=1, settling_s=0.5, looks=2, gap_s=0.05, skew_s=0.1, poll_s=0.05)
"""The sandbox lists a job at once."""
LONG_ENOUGH_S = 3600
"""Simulated seconds in which any order or job comes to its end."""


class Works:
    """A sandbox in which time passes only when a test says so, and a pipeline whose deliveries workflows work on."""

    def __init__(self, sandbox, folder) -> None:
        self.sandbox, self.folder = sandbox, folder
        aoi = folder / "rome.geojson"
        aoi.write_text(json.dumps({"type": "Polygon", "coordinates": SQUARE}))
        self.up42 = Up42Resource(username="sandbox@example.com", password="sandbox", api_url=sandbox.url)
        self.lake_resource = LakeResource(url=str(folder / "lake"))
        self.lake = self.lake_resource.lake
        self.source = Pipeline(
            name="bundles",
            aois={"rome": str(aoi)},
            partitions=date_by_aoi(["rome"], start_date="2026-06-01"),
            collection="sandbox-optical",
            data_product="bundle",
            selection=SelectionRules(max_scenes=1),
            ceilings=Ceilings(order=1000),
            timing=HASTE,
        )
        self.client = sandbox.client()
        self.made: list[Work] = []
        self._landed: dict[str, list] = {}
        self._offers = 0

    def landed(self, partition: str) -> list:
        """What the pipeline has landed for a partition; ordered when it is first asked for."""
        if partition not in self._landed:
            defs = build_ingestion(self.source, up42=self.up42, lake=self.lake_resource)
            self.control("fates", kind="order", fate="fulfilled")
            with dg.DagsterInstance.ephemeral() as instance:
                for name in (self.source.ingest_job, self.source.deliver_job):
                    job = defs.get_repository_def().get_job(name)
                    assert job.execute_in_process(partition_key=partition, instance=instance).success
                    self.advance()
            self._landed[partition] = list(stored_items(self.lake, self.source.key("cogs"), partition))
        return self._landed[partition]

    def deliver(self, *products: str) -> list:
        """Order one item of each data product; as UP42 has them, which the lake does not."""
        area = {"type": "Polygon", "coordinates": SQUARE}
        day = datetime(2026, 6, 4, tzinfo=UTC)
        scenes = self.client.catalog.search(
            "sandbox-host", collections=["sandbox-optical"], intersects=area, start=day, end=day + timedelta(days=1)
        )
        scene = next(one.id for one in scenes if shape(one.geometry).covers(shape(area)))
        items = []
        for product in products:
            self.control("fates", kind="order", fate="fulfilled")
            order = OrderInput(
                data_product=self.client.catalog.collection("sandbox-optical").data_product(product).id,
                display_name="an item",
                params={"id": scene},
                feature_collection={
                    "type": "FeatureCollection",
                    "features": [{"type": "Feature", "properties": {}, "geometry": area}],
                },
            )
            [line] = self.client.orders.place(order).results
            self.advance()
            items += self.client.storage.items_of_order(line.id)
        return items

    def offer(self, **days: list) -> Pipeline:
        """A pipeline whose `cogs` are these items, by day (`june_4`); it has landed nothing."""
        self._offers += 1
        source = replace(self.source, name=f"offers_{self._offers}", key_prefix=(f"offers_{self._offers}",))
        for name, items in days.items():
            day = f"2026-06-{int(name.removeprefix('june_')):02}.json"
            plain = [pystac.Item.from_dict(item.to_dict(transform_hrefs=False)) for item in items]
            document = pystac.ItemCollection(plain).to_dict()
            self.lake.write_json(document, "assets", *source.key("cogs").path, "rome", day)
        return source

    def workflow(self, *steps, start_on_delivery=False, source=None, landing=None, **changes) -> Work:
        """A workflow under a name of its own."""
        name = changes.pop("name", f"work_{len(self.made)}")
        workflow = Workflow(name=name, steps=steps, ceilings=Ceilings(order=1000), timing=HASTE)
        pipeline = ProcessingPipeline(
            workflow=replace(workflow, **changes),
            source=source or self.source,
            results_patience_s=0.2,
            key_prefix=(name,),
        )
        pipeline = pipeline if landing is None else replace(pipeline, landing=landing)
        self.made.append(Work(pipeline, self, start_on_delivery=start_on_delivery))
        return self.made[-1]

    def control(self, what: str, method: str = "POST", **body) -> dict:
        answer = requests.request(method, f"{self.sandbox.url}/sandbox/{what}", json=body or None, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def advance(self, seconds: float = LONG_ENOUGH_S) -> None:
        self.control("clock", advance=seconds)

    def fates(self, *fates: str) -> None:
        """What becomes of the next jobs, one after the other; all that come later succeed."""
        self.control("fates", "DELETE")
        for fate in fates:
            self.control("fates", kind="job", fate=fate)
        self.control("fates", kind="job", fate="successful", times=50)


class Work:
    """Definitions of one workflow and of the pipeline it works on, on an instance of their own."""

    def __init__(self, pipeline: ProcessingPipeline, works: Works, *, start_on_delivery: bool) -> None:
        self.pipeline, self.works, self.instance = pipeline, works, dg.DagsterInstance.ephemeral()
        services = {"up42": works.up42, "lake": works.lake_resource}
        self.defs = dg.Definitions.merge(
            build_ingestion(pipeline.source, **services),
            build_workflow(pipeline, **services, sensor_interval_s=1, start_on_delivery=start_on_delivery),
        )

    def job(self, name: str, partition: str | None = None, **options) -> dg.ExecuteInProcessResult:
        job = self.defs.get_repository_def().get_job(name)
        return job.execute_in_process(partition_key=partition, instance=self.instance, raise_on_error=False, **options)

    def start(self, partition: str, **config) -> dg.ExecuteInProcessResult:
        """Buy the jobs of the first steps; `config` is the same for each of them."""
        return self.job(self.pipeline.start_job, partition, **self._config(self.pipeline.workflow.after(None), config))

    def approve(self, partition: str, **config) -> dg.ExecuteInProcessResult:
        """Run the approve job, as from its launchpad."""
        return self.job(self.pipeline.approve_job, partition, **self._config(self.pipeline.workflow.steps, config))

    def _config(self, steps, config) -> dict:
        ops = {self.op(step.name, "processing_jobs"): {"config": config} for step in steps}
        return {"run_config": {"ops": ops}} if config else {}

    def collect(self, step: str, partition: str) -> dg.ExecuteInProcessResult:
        """What the sensor runs."""
        return self.job(self.pipeline.collect_job(step), partition)

    def op(self, step: str, name: str) -> str:
        """Name of the op of an asset."""
        return self.pipeline.key(step, name).to_python_identifier()

    def tick(self, cursor: str | None = None) -> dg.SensorResult:
        [sensor] = [one for one in self.defs.sensors if one.name == f"{self.pipeline.name}_job_status_sensor"]
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, definitions=self.defs, resources={"up42": self.works.up42}
        ) as context:
            return sensor.evaluate_tick(context)

    def metadata(self, step: str, name: str, partition: str) -> dict:
        """Metadata of the last materialization."""
        wanted = dg.AssetRecordsFilter(self.pipeline.key(step, name), asset_partitions=[partition])
        records = self.instance.fetch_materializations(wanted, limit=1).records
        return dict(records[0].asset_materialization.metadata) if records else {}

    def data_version(self, step: str, partition: str) -> str:
        """Of the results in the lake."""
        wanted = dg.AssetRecordsFilter(self.pipeline.key(step, "processed_cogs"), asset_partitions=[partition])
        [record] = self.instance.fetch_materializations(wanted, limit=1).records
        return record.asset_materialization.tags["dagster/data_version"]

    def is_materialized(self, step: str, name: str, partition: str) -> bool:
        return partition in self.instance.get_materialized_partitions(self.pipeline.key(step, name))

    def items(self, step: str, partition: str) -> list:
        """What a step has landed."""
        return list(stored_items(self.works.lake, self.pipeline.key(step, "processed_cogs"), partition) or ())

    def jobs(self) -> list[dict]:
        """The workflow's jobs in the sandbox's ledger, oldest first."""
        listed = self.works.control("ledger", "GET")["jobs"]
        return [one for one in listed if one["title"].startswith(f"{self.pipeline.name}.")]


@pytest.fixture(scope="session")
def works(start_lasting_sandbox, tmp_path_factory) -> Iterator[Works]:
    works = Works(start_lasting_sandbox("--speed", "1"), tmp_path_factory.mktemp("works"))
    yield works
    for work in works.made:
        work.instance.dispose()
    works.client.transport.close()


@pytest.fixture(autouse=True)
def nothing_left_to_chance(works) -> None:
    works.fates()


@pytest.fixture(scope="session")
def explain():
    """Why a step failed, as a person reads it."""

    def explained(result: dg.ExecuteInProcessResult, step: str) -> str:
        [event] = [e for e in result.all_events if e.is_step_failure and e.step_key == step]
        data = event.step_failure_data
        assert data.user_failure_data, f"an exception instead of an explained failure: {data.error}"
        return data.user_failure_data.description

    return explained
