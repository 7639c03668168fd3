"""What a workflow adds to a code location: assets, jobs, sensors, and what starts by itself."""

import dagster as dg
import pytest

from up42_pipelines.assets import ProcessingPipeline
from up42_pipelines.errors import ConfigurationError
from up42_pipelines.processing.templates import (
    DetectionBuildingsSpacept,
    DetectionChangeSimularity,
    Pansharpening,
    TrueColorConversion,
)
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.budget import Ceilings

BEFORE, DAY = "rome|2026-06-03", "rome|2026-06-04"
STEPS = (
    Step(name="pansharpen", template=Pansharpening()),
    Step(name="true_color", template=TrueColorConversion(), of="pansharpen"),
    Step(name="buildings", template=DetectionBuildingsSpacept(), of="true_color"),
    Step(name="change", template=DetectionChangeSimularity(), of="pansharpen", reference_days=1),
)


@pytest.fixture
def work(works):
    return works.workflow(*STEPS)


def graph_of(work):
    return work.defs.get_repository_def().asset_graph


def parents(work, step, name):
    return set(graph_of(work).get(work.pipeline.key(step, name)).parent_keys)


def test_each_step_works_on_what_the_step_before_has_landed(work):
    key = work.pipeline.key
    assert parents(work, "pansharpen", "processing_jobs") == {work.pipeline.source.key("cogs")}
    assert parents(work, "true_color", "processing_jobs") == {key("pansharpen", "processed_cogs")}
    assert parents(work, "change", "processing_jobs") == {key("pansharpen", "processed_cogs")}
    for step in STEPS:
        assert parents(work, step.name, "processed_items") == {key(step.name, "processing_jobs")}
        assert parents(work, step.name, "processed_cogs") == {key(step.name, "processed_items")}


def test_the_lineage_of_a_comparison_shows_both_days(work):
    key = work.pipeline.key

    def upstream(partition):
        result = graph_of(work).get_parent_partition_keys_for_child(
            partition, key("pansharpen", "processed_cogs"), key("change", "processing_jobs")
        )
        assert result.required_but_nonexistent_subset.is_empty  # or a backfill would leave the first day out
        return set(result.partitions_subset.get_partition_keys())

    assert upstream(DAY) == {BEFORE, DAY}
    assert upstream("rome|2026-06-01") == {"rome|2026-06-01"}


def test_jobs_do_what_their_names_say(work):
    pipeline, key = work.pipeline, work.pipeline.key
    repository = work.defs.get_repository_def()

    def selected(name):
        return set(repository.get_job(name).asset_layer.selected_asset_keys)

    assert selected(pipeline.start_job) == {key("pansharpen", "processing_jobs")}
    assert selected(pipeline.collect_job("pansharpen")) == {
        key("pansharpen", "processed_items"),
        key("pansharpen", "processed_cogs"),
        key("true_color", "processing_jobs"),
        key("change", "processing_jobs"),
    }
    last = {key("buildings", "processed_items"), key("buildings", "processed_cogs")}
    assert selected(pipeline.collect_job("buildings")) == last
    assert selected(pipeline.approve_job) == {key(step.name, "processing_jobs") for step in STEPS}
    ours = {name for name in repository.job_names if name.startswith(pipeline.name)}
    assert ours == {*pipeline.job_names, pipeline.dry_run_job}


def test_assets_that_spend_say_so(work):
    spending = {
        spec.key for asset in work.defs.assets for spec in asset.specs if spec.tags.get("up42/spends") == "credits"
    }
    jobs = {work.pipeline.key(step.name, "processing_jobs") for step in STEPS}
    assert spending == {*jobs, work.pipeline.source.key("orders")}


def test_what_failed_in_one_partition_is_not_hidden_by_the_next(work):
    names = {"no_order_failed", "no_job_failed", "spend_within_ceilings"}
    specs = [spec for asset in work.defs.assets for spec in asset.check_specs if spec.name in names]
    assert len(specs) == 2 * (1 + len(STEPS))
    assert all(spec.partitions_def == work.pipeline.partitions for spec in specs)


def test_a_workflow_needs_a_name_of_its_own(works):
    workflow = Workflow(name=works.source.name, steps=STEPS)
    with pytest.raises(ConfigurationError, match="has the name of the pipeline"):
        ProcessingPipeline(workflow=workflow, source=works.source)


class Automation:
    """What would start by itself, while assets change under the hands of a test."""

    def __init__(self, work) -> None:
        self.work, self.cursor = work, None
        self.requested()  # the first evaluation counts nothing that was there before

    def lands(self, key, partition, version) -> None:
        event = dg.AssetMaterialization(key, partition=partition, tags={"dagster/data_version": version})
        self.work.instance.report_runless_asset_event(event)

    def requested(self) -> dict:
        """Partitions by step."""
        result = dg.evaluate_automation_conditions(
            self.work.defs,
            instance=self.work.instance,
            asset_selection=dg.AssetSelection.all(),
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        keys = {step.name: self.work.pipeline.key(step.name, "processing_jobs") for step in self.steps}
        found = {name: set(result.get_requested_partitions(key)) for name, key in keys.items()}
        assert result.total_requested == sum(map(len, found.values()))
        return {name: partitions for name, partitions in found.items() if partitions}

    @property
    def steps(self):
        return self.work.pipeline.workflow.steps


def test_a_delivery_starts_nothing_unless_it_was_asked_for(work):
    automation = Automation(work)
    automation.lands(work.pipeline.source.key("cogs"), DAY, "a")
    assert automation.requested() == {}


def test_when_asked_for_a_delivery_starts_the_first_steps_once_for_each_version(works):
    work = works.workflow(*STEPS, start_on_delivery=True)
    automation, cogs = Automation(work), work.pipeline.source.key("cogs")
    automation.lands(cogs, DAY, "a")
    assert automation.requested() == {"pansharpen": {DAY}}
    assert automation.requested() == {}
    automation.lands(cogs, DAY, "a")
    assert automation.requested() == {}
    automation.lands(cogs, DAY, "b")
    assert automation.requested() == {"pansharpen": {DAY}}


def test_when_asked_for_a_late_reference_starts_what_compares_with_it(works):
    step = Step(name="change", template=DetectionChangeSimularity(), reference_days=1)
    work = works.workflow(step, start_on_delivery=True)
    automation = Automation(work)
    automation.lands(work.pipeline.source.key("cogs"), BEFORE, "a")
    assert automation.requested() == {"change": {BEFORE, DAY}}


def test_a_reference_that_comes_after_its_source_starts_the_comparison(work):
    """The run that lands the source finds no reference and skips; nothing else would come back to it."""
    automation, sharpened = Automation(work), work.pipeline.key("pansharpen", "processed_cogs")
    automation.lands(sharpened, DAY, "a")
    assert automation.requested() == {}
    automation.lands(sharpened, BEFORE, "a")
    assert automation.requested() == {"change": {DAY}}
    automation.lands(work.pipeline.key("change", "processing_jobs"), DAY, "job")
    assert automation.requested() == {}


def test_more_of_a_reference_starts_the_comparison_again(work):
    """Of a delivery in parts, the part with which some of the items are compared may come last."""
    automation, sharpened = Automation(work), work.pipeline.key("pansharpen", "processed_cogs")
    for key, partition in (
        (sharpened, BEFORE),
        (sharpened, DAY),
        (work.pipeline.key("change", "processing_jobs"), DAY),
    ):
        automation.lands(key, partition, "a")
    assert automation.requested() == {}  # the run that landed the items has bought their jobs
    automation.lands(sharpened, BEFORE, "b")
    assert automation.requested() == {"change": {DAY}}
    automation.lands(sharpened, BEFORE, "b")
    assert automation.requested() == {}


def test_what_lands_while_a_run_is_buying_is_bought_after_it(works):
    """The run has read what there was before, and its end must not make that look handled."""
    work = works.workflow(*STEPS, start_on_delivery=True)
    automation, cogs = Automation(work), work.pipeline.source.key("cogs")
    automation.lands(cogs, DAY, "a")
    assert automation.requested() == {"pansharpen": {DAY}}
    job = work.defs.get_repository_def().get_job(work.pipeline.start_job)
    tags = {"dagster/partition": DAY}
    run = work.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    automation.lands(cogs, DAY, "b")
    assert automation.requested() == {}
    automation.lands(work.pipeline.key("pansharpen", "processing_jobs"), DAY, "job")
    work.instance.report_run_canceled(run)
    assert automation.requested() == {"pansharpen": {DAY}}
    assert automation.requested() == {}


def test_what_a_run_is_at_already_does_not_start_beside_it(works):
    work = works.workflow(*STEPS, start_on_delivery=True)
    automation, cogs = Automation(work), work.pipeline.source.key("cogs")
    job = work.defs.get_repository_def().get_job(work.pipeline.start_job)
    tags = {"dagster/partition": DAY}
    run = work.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    automation.lands(cogs, DAY, "a")
    assert automation.requested() == {}
    work.instance.report_run_canceled(run)
    assert automation.requested() == {"pansharpen": {DAY}}


def test_sensors_that_only_read_or_were_asked_for_run_by_themselves(works, work):
    def sensors(one):
        return {sensor.name.removeprefix(one.pipeline.name): sensor.default_status for sensor in one.defs.sensors}

    running = dg.DefaultSensorStatus.RUNNING
    assert sensors(work).items() >= {"_job_status_sensor": running, "_automation": running}.items()
    plain = works.workflow(STEPS[0])
    assert "_automation" not in sensors(plain)
    assert "_automation" in sensors(works.workflow(STEPS[0], start_on_delivery=True))


class TestDryRun:
    def run(self, work, partitions):
        config = {"ops": {f"{work.pipeline.name}_estimate": {"config": {"partitions": partitions}}}}
        result = work.job(work.pipeline.dry_run_job, run_config=config)
        assert result.success
        [output] = [event for event in result.all_events if event.is_successful_output]
        return result.output_for_node(f"{work.pipeline.name}_estimate"), output.step_output_data.metadata

    def test_the_whole_chain_is_priced_and_nothing_is_bought(self, works, shown):
        work = works.workflow(*STEPS, source=works.offer(june_4=works.deliver("bundle")))
        estimates, metadata = self.run(work, DAY)
        assert set(estimates) == {DAY}
        told = shown(metadata)
        steps = {row["step"]: row for row in told["per step"]}
        assert list(steps) == [step.name for step in work.pipeline.workflow.in_order()]
        assert steps["change"]["left out"] == 1  # there is no day before
        assert steps["pansharpen"]["judged on"] == "its items"
        assert steps["buildings"]["judged on"] == "stand-ins"
        assert told["credits"] == sum(row["credits"] for row in steps.values()) > 0
        assert work.jobs() == []
        assert work.start(DAY).success
        assert [job["credits"] for job in work.jobs()] == [steps["pansharpen"]["credits"]]

    def test_references_are_those_of_the_day_before(self, works, shown):
        item, reference = works.deliver("bundle", "bundle")
        work = works.workflow(*STEPS, source=works.offer(june_4=[item], june_3=[reference]))
        _, metadata = self.run(work, DAY)
        [change] = [row for row in shown(metadata)["per step"] if row["step"] == "change"]
        assert (change["jobs"], change["left out"]) == (1, 0)

    def test_problems_are_told_by_partition(self, works, shown):
        work = works.workflow(STEPS[0], source=works.offer(june_3=[], june_4=works.deliver("analytic")))
        _, metadata = self.run(work, "rome|2026-06-03..rome|2026-06-04")
        told = shown(metadata)
        assert [row["partition"] for row in told["per step"]] == [BEFORE, DAY]
        [remark] = [row for row in told["remarks"] if row["kind"] == "problem"]
        assert remark["partition"] == DAY
        assert "MissingPanchromaticAsset" in remark["what"]
        assert told["problems"] == 1

    def test_partitions_share_a_ceiling(self, works, shown):
        source = works.offer(june_3=works.deliver("bundle"), june_4=works.deliver("bundle"))
        [first, second] = self.run(works.workflow(STEPS[0], source=source), f"{BEFORE}..{DAY}")[0].values()
        tight = Ceilings(month=first.credits + second.credits - 1)
        _, metadata = self.run(works.workflow(STEPS[0], source=source, ceilings=tight), f"{BEFORE}..{DAY}")
        [remark] = [row for row in shown(metadata)["remarks"] if row["kind"] == "problem"]
        assert remark["partition"] == DAY
        assert "month" in remark["what"]
