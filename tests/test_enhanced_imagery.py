"""The ready workflow over a backfill of 3 days x 2 AOIs, driven by nothing but its sensors."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator

import dagster as dg
import pystac
import pytest
import requests
from shapely.geometry import box, mapping

import assets_defs
from assets_defs.enhanced_imagery import enhanced_imagery
from up42_pipelines.io_managers import stored_items
from up42_pipelines.lake import PARQUET_MEDIA_TYPE, Lake, read_features, read_item
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.purchasing.intents import IntentBook, State
from up42_pipelines.purchasing.ledger import Ledger

AREAS = {"berlin": box(13.38, 52.46, 13.40, 52.475), "lisbon": box(-9.15, 38.71, -9.13, 38.725)}
PARTITIONS = [f"{aoi}|2026-06-0{day}" for aoi in AREAS for day in (1, 2, 3)]
COMPARED = [key for key in PARTITIONS if not key.endswith("-01")]
STEPS = ("pansharpen", "true_color", "buildings", "change")
MOST_ROUNDS = 12
"""Deliveries, four steps, and what is compared after both days have landed; twice as many as that takes."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
]


class Location:
    """The code location as Dagster's daemon would run it: sensors are ticked, and what they ask for is run."""

    def __init__(self, sandbox, folder, monkeypatch) -> None:
        self.sandbox, self.lake = sandbox, Lake(str(folder / "lake"))
        (folder / "aois").mkdir()
        for name, area in AREAS.items():
            (folder / "aois" / f"{name}.geojson").write_text(json.dumps(mapping(area)))
        environment = {
            "UP42_API_URL": sandbox.url,
            "UP42_AUTH_URL": sandbox.url,
            "UP42_USERNAME": "sandbox@example.com",
            "UP42_PASSWORD": "sandbox",
            "UP42_LAKE_URL": str(folder / "lake"),
            "UP42_AOIS": str(folder / "aois"),
            "UP42_LEASE_S": "6",
            "UP42_SETTLING_S": "2",
            "UP42_PROCESS_ON_DELIVERY": "1",
            "UP42_SENSOR_INTERVAL_S": "1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        # Run, not imported: the module keeps what the environment said, and others import it as well.
        self.defs: dg.Definitions = runpy.run_path(assets_defs.__path__[0] + "/definitions.py")["defs"]
        self.processing = enhanced_imagery()
        self.repository = self.defs.get_repository_def()
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursors: dict[str, str | None] = {}
        self.automation = dg.evaluate_automation_conditions(self.defs, self.instance).cursor

    def control(self, what: str, method: str = "POST", **body) -> dict:
        answer = requests.request(method, f"{self.sandbox.url}/sandbox/{what}", json=body or None, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def run(self, job: str, partition: str, **options) -> None:
        result = self.repository.get_job(job).execute_in_process(
            partition_key=partition, instance=self.instance, raise_on_error=False, **options
        )
        assert result.success, f"{job} of {partition}"

    def tick(self) -> int:
        """Every sensor once, and what they ask for; the number of runs."""
        wanted = [request for name in self._sensors() for request in self._requests(name)]
        for job, partition in wanted:
            self.run(job, partition)
        automated = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.automation)
        self.automation = automated.cursor
        started = 0
        for key in self.repository.asset_graph.get_all_asset_keys():
            for partition in sorted(automated.get_requested_partitions(key)):
                result = dg.materialize(
                    list(self.defs.assets),
                    selection=[key],
                    partition_key=partition,
                    instance=self.instance,
                    resources=dict(self.defs.resources),
                )
                assert result.success
                started += 1
        return len(wanted) + started

    def _sensors(self) -> list[str]:
        return ["bundle_archive_order_status_sensor", "enhance_job_status_sensor"]

    def _requests(self, name: str) -> list[tuple[str, str]]:
        sensor = self.repository.get_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=self.repository,
            resources={"up42": self.defs.resources["up42"]},
        ) as context:
            result = sensor.evaluate_tick(context)
        self.cursors[name] = result.cursor
        return [(one.job_name or "bundle_archive_deliver", one.partition_key) for one in result.run_requests]

    def items(self, step: str, partition: str) -> list[pystac.Item]:
        """What a step has left in the lake."""
        return list(stored_items(self.lake, self.processing.key(step, "processed_cogs"), partition) or ())

    def jobs(self) -> list[dict]:
        return self.control("ledger", "GET")["jobs"]


@pytest.fixture(scope="module")
def location(start_sandbox, lasting_helpers, tmp_path_factory) -> Iterator[Location]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        location = Location(
            start_sandbox("--speed", "1", "--seed", "360"), tmp_path_factory.mktemp("location"), monkeypatch
        )
        location.control("fates", kind="order", fate="fulfilled", times=len(PARTITIONS))
        location.control("fates", kind="job", fate="successful", times=100)
        for partition in PARTITIONS:
            location.run("bundle_archive_ingest", partition)
        for _ in range(MOST_ROUNDS):
            location.control("clock", advance=3600)
            if location.tick() == 0:
                break
        else:
            pytest.fail("it does not come to rest")
        yield location
        location.instance.dispose()


def test_every_partition_of_every_step_has_a_result(location):
    have = {step: [key for key in PARTITIONS if location.items(step, key)] for step in STEPS}
    assert have == {"pansharpen": PARTITIONS, "true_color": PARTITIONS, "buildings": PARTITIONS, "change": COMPARED}


def test_jobs_at_up42_are_the_keys_of_the_lake(location):
    titles = [JobTitle.read(job["title"]) for job in location.jobs()]
    bought = sorted((title.step, title.partition) for title in titles)
    assert bought == sorted((s, key) for s in STEPS for key in (COMPARED if s == "change" else PARTITIONS))
    keys = {title.key for title in titles}
    assert len(keys) == len(titles)
    intents = [one for one in IntentBook(location.lake).all() if one.kind == "job"]
    assert {one.key for one in intents} == keys
    assert {one.state for one in intents} == {State.PLACED}
    ceilings = location.processing.workflow.ceilings
    sheet = Ledger(location.lake, "enhance", ceilings, found_at_up42=list).sheet()
    assert sheet.committed() == sum(title.credits for title in titles)


def test_lineage_leads_from_the_result_to_the_delivered_cog(location):
    """In STAC, item by item; and in Dagster, asset by asset."""
    [found] = location.items("buildings", "lisbon|2026-06-02")
    path = [read_item(location.lake, "enhance-buildings", found.id)]
    while path[-1].collection_id != "sandbox-optical":
        hrefs = [link.get_href() for link in path[-1].get_links("derived_from")]
        [(collection, item_id)] = [href.split("/")[-3:-1] for href in hrefs if not href.startswith("http")]
        path.append(read_item(location.lake, collection, item_id))
    assert [item.collection_id for item in path] == [
        "enhance-buildings",
        "enhance-true_color",
        "enhance-pansharpen",
        "sandbox-optical",
    ]
    graph, at, walked = location.repository.asset_graph, location.processing.key("buildings", "processed_cogs"), []
    while at != dg.AssetKey(["bundle", "cogs"]):
        walked.append(at.path[-2:])
        [at] = graph.get(at).parent_keys
    assert [tuple(one) for one in walked] == [
        (step, name)
        for step in ("buildings", "true_color", "pansharpen")
        for name in ("processed_cogs", "processed_items", "processing_jobs")
    ]


def test_change_is_what_differs_between_two_days(location):
    """A hall is built or taken down now and then: not every day at every place."""
    found = 0
    for partition in COMPARED:
        [item] = location.items("change", partition)
        [table] = [asset for asset in item.assets.values() if asset.media_type == PARQUET_MEDIA_TYPE]
        changes = read_features(location.lake, table.href, 1000)
        assert len(changes) == table.extra_fields["table:row_count"]
        found += len(changes)
    assert found


def test_run_again_nothing_is_bought_and_nothing_is_asked_for(location):
    before = location.jobs()
    location.run("enhance_start", "berlin|2026-06-01")
    location.run("enhance_true_color_collect", "berlin|2026-06-01")
    assert location.jobs() == before
    location.control("clock", advance=3600)
    assert location.tick() == 0
