"""Two backfills of the same partitions at once, and a run killed while it buys, with a real daemon: one order each."""

import os
import signal
import time
from pathlib import Path

import dagster as dg
import pytest
import requests
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from up42_pipelines.demo.processes import Children
from up42_pipelines.demo.workplace import Workplace
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.keys import OrderTags
from up42_pipelines.purchasing.intents import IntentBook, State

PROJECT = Path(__file__).resolve().parents[2]
PARTITIONS = ["berlin|2026-06-01", "lisbon|2026-06-01"]
"""The archive has something for each of them."""

RETRIES = """\
run_retries:
  enabled: true
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # Dagster 1.13 plans a backfill with a deprecated function of its own
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated:DeprecationWarning"),
]


class Deployment:
    """The ready code location on a daemon of its own, with a sandbox behind it."""

    def __init__(self, folder: Path, sandbox) -> None:
        self.sandbox = sandbox
        self.place = Workplace(folder=folder, project=PROJECT)
        self.place.prepare(fresh_instance=True)
        with (self.place.dagster_home / "dagster.yaml").open("a") as settings:
            settings.write(RETRIES)
        self.book = IntentBook(Lake(str(self.place.lake)))

    def backfill(self, instance: dg.DagsterInstance) -> None:
        """Ask for all partitions, as the UI's dialog does."""
        from assets_defs.definitions import defs

        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id=make_new_backfill_id(),
                asset_graph=defs.get_repository_def().asset_graph,
                partition_names=PARTITIONS,
                asset_selection=[dg.AssetKey("scenes"), dg.AssetKey("orders")],
                backfill_timestamp=time.time(),
                tags={"dagster/max_retries": "1"},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )

    def buying(self) -> tuple[dict, int] | None:
        """An order that exists and that its run does not know of yet, and the run's process."""
        for order in self.sandbox.ledger():
            tags = OrderTags.read(order["tags"])
            _, intent = self.book.read(tags.key)
            if intent.state == State.PLACING:
                return order, int(intent.holder.split(":")[1])
        return None


@pytest.fixture(scope="module")
def finished(tmp_path_factory, start_sandbox, wait_for):
    """The runs, and the order whose run was killed, after everything has come to rest."""
    sandbox = start_sandbox("--speed", "0.01")
    deployment = Deployment(tmp_path_factory.mktemp("processes") / "demo", sandbox)
    place = deployment.place
    late = {"kind": "delay", "method": "POST", "path": "/v2/orders", "seconds": 20}
    requests.post(f"{sandbox.url}/sandbox/faults", json={"faults": [late]}, timeout=10).raise_for_status()
    with (
        Children(place.folder, place.logs) as children,
        dg.DagsterInstance.from_config(str(place.dagster_home)) as instance,
    ):
        deployment.backfill(instance)
        deployment.backfill(instance)
        daemon = ["dagster._daemon", "run", "-w", str(place.workspace_yaml)]
        children.start("daemon", daemon, env=place.environment(sandbox.url), cwd=PROJECT)
        order, pid = wait_for(deployment.buying, 90)
        os.kill(pid, signal.SIGKILL)

        def at_rest():
            assert children.ended() is None
            runs = instance.get_runs()
            retried = any(run.parent_run_id for run in runs)
            return retried and len(runs) == 2 * len(PARTITIONS) + 1 and all(run.is_finished for run in runs) and runs

        runs = wait_for(at_rest, 120)
    return deployment, order, runs


def test_two_backfills_of_the_same_partitions_buy_each_thing_once(finished):
    deployment, _, runs = finished
    bought = [OrderTags.read(order["tags"]).partition for order in deployment.sandbox.ledger()]
    assert sorted(bought) == sorted(PARTITIONS)
    assert {run.tags["dagster/partition"] for run in runs if run.is_success} == set(PARTITIONS)
    assert len([run for run in runs if not run.is_success]) == 1  # the one that was killed


def test_a_killed_run_is_retried_and_finds_what_it_had_bought(finished):
    deployment, order, runs = finished
    [killed] = [run for run in runs if run.is_failure]
    [retry] = [run for run in runs if run.parent_run_id]
    assert (retry.parent_run_id, retry.root_run_id) == (killed.run_id, killed.run_id)
    assert retry.is_success
    _, intent = deployment.book.read(OrderTags.read(order["tags"]).key)
    assert intent.state == State.PLACED
    assert intent.purchase_ids == (order["id"],)
