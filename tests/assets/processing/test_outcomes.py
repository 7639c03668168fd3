"""Every status in which a job can end, and one that nobody knows: what the run does, and what a person is told."""

import pytest

from up42_pipelines.api import Job
from up42_pipelines.assets.processed_items import _collect
from up42_pipelines.processing.outcome import JobState
from up42_pipelines.processing.templates import DetectionBuildingsSpacept, DetectionChangeSimularity
from up42_pipelines.processing.workflow import Step

DAY = "rome|2026-06-04"
HOURS = 24 * 3600


@pytest.fixture(scope="module")
def source(works):
    [item] = works.landed(DAY)
    return item


@pytest.fixture
def work(works, source):
    """One job for the item that has landed; a test decides before what becomes of it."""
    return works.workflow(Step(name="buildings", template=DetectionBuildingsSpacept()))


def bought(work):
    assert work.start(DAY).success
    work.works.advance()
    [job] = work.jobs()
    return job


@pytest.mark.parametrize(
    ("fate", "status", "why", "remedy"),
    [
        ("unlicensed", "unlicensed", "EULA is not accepted", "Accept the EULA of process detection-buildings-spacept"),
        ("invalid", "invalid", "the inputs do not fit", "Choose items or parameters that the process takes"),
        ("rejected", "rejected", "too few credits", "Buy credits in the UP42 console"),
        ("unreleased", "failed", "the process gave up", "ask UP42's support about job {job}"),
        ("failed", "released", "the process gave up", "The withheld credits were returned"),
    ],
)
def test_a_job_that_failed_fails_its_partition_and_says_what_to_do(
    work, works, explain, check, shown_by_failure, fate, status, why, remedy
):
    works.fates(fate)
    job = bought(work)
    assert job["status"] == status
    result = work.collect("buildings", DAY)
    assert not result.success
    said = explain(result, work.op("buildings", "processed_items"))
    for words in (f"Job {job['id']}: {status}", why, remedy.format(job=job["id"]), "raise the generation"):
        assert words in said
    passed, shown = check(result, "no_job_failed")
    assert not passed
    assert why in shown["failed_jobs"][job["id"]]
    [row] = shown_by_failure(result, work.op("buildings", "processed_items"))["jobs"]
    assert (row["job"], row["status"], row["items"]) == (job["id"], status, 0)
    assert not work.is_materialized("buildings", "processed_items", DAY)


@pytest.mark.parametrize("status", ["successful", "captured"])
def test_both_successes_are_results(work, works, check, status):
    works.fates(status)
    job = bought(work)
    assert job["status"] == status
    result = work.collect("buildings", DAY)
    assert result.success
    assert check(result, "no_job_failed")[0]
    [item] = work.items("buildings", DAY)
    assert item.properties["up42:job_id"] == job["id"]


@pytest.mark.parametrize(("fate", "status"), [("running", "running"), ("quarantined", "quarantined")])
def test_what_goes_on_or_is_not_known_is_waited_for(work, works, check, fate, status):
    works.fates(fate)
    assert bought(work)["status"] == status
    result = work.collect("buildings", DAY)
    assert result.success
    assert check(result, "no_job_failed")[0]
    assert not work.is_materialized("buildings", "processed_items", DAY)
    assert not work.is_materialized("buildings", "processed_cogs", DAY)
    assert work.start(DAY).success
    assert len(work.jobs()) == 1  # it is not bought again meanwhile


def test_an_unknown_status_is_told(work, works, check):
    works.fates("quarantined")
    job = bought(work)
    _, shown = check(work.collect("buildings", DAY), "no_job_failed")
    told = shown["jobs_in_an_unknown_status"][job["id"]]
    assert "UP42 reports the status 'quarantined', which is not known here" in told
    assert f"Look at job {job['id']} in the UP42 console" in told


def test_a_job_released_after_hours_is_waited_for_and_then_told(work, works, explain):
    works.fates("stuck_released")
    assert bought(work)["status"] == "running"
    assert work.collect("buildings", DAY).success
    works.advance(HOURS)
    assert work.jobs()[0]["status"] == "released"
    result = work.collect("buildings", DAY)
    assert "The withheld credits were returned" in explain(result, work.op("buildings", "processed_items"))
    assert work.jobs()[0]["charges"] == []


def test_a_result_collection_that_is_not_there_names_the_job(work, works, explain, check):
    works.fates("lost_result")
    job = bought(work)
    result = work.collect("buildings", DAY)
    said = explain(result, work.op("buildings", "processed_items"))
    assert job["id"] in said
    assert "is not in storage, or holds no item" in said
    assert "run this again later" in said
    assert not check(result, "no_job_failed")[0]
    work.start(DAY)
    assert len(work.jobs()) == 1


def test_results_that_do_not_come_are_waited_for_together():
    """Each for itself, a partition of hundreds would be at it for hours while storage is down."""

    class Empty:
        looks = 0

        def items_of_job(self, _):
            self.looks += 1
            return []

    storage = Empty()
    jobs = [Job.parse({"jobID": str(n), "processID": "p", "status": "captured"}) for n in range(20)]
    found = list(_collect(storage, jobs, patience_s=0.05))
    assert storage.looks < 2 * len(jobs)  # only the first is looked for twice
    assert {one.state for one in found} == {JobState.FAILED}


def test_a_job_that_up42_does_not_know_any_more_is_told(work, works, explain, check):
    """The sensor gives it up and asks for the run; that must not look as if nothing had been bought."""
    bought(work)
    folder = ("assets", *work.pipeline.key("buildings", "processing_jobs").path, *DAY.split("|"))
    document = works.lake.read_json(*folder[:-1], f"{folder[-1]}.json")
    lost = "11111111-2222-4333-8444-555555555555"
    document["features"].append(document["features"][0] | {"id": lost})
    works.lake.write_json(document, *folder[:-1], f"{folder[-1]}.json")
    result = work.collect("buildings", DAY)
    passed, told = check(result, "no_job_failed")
    assert result.success
    assert not passed
    assert "UP42 does not know it any more" in told["failed_jobs"][lost]
    assert len(work.items("buildings", DAY)) == 1


def test_a_failed_job_is_bought_again_only_by_a_higher_generation(work, works, check):
    works.fates("failed")
    first = bought(work)
    assert work.start(DAY).success
    assert work.jobs() == [first]
    assert not work.collect("buildings", DAY).success
    assert work.start(DAY, generation=2).success
    works.advance()
    assert [job["status"] for job in work.jobs()] == ["released", "successful"]
    result = work.collect("buildings", DAY)
    assert result.success
    assert check(result, "no_job_failed")[0]  # the one that counts has results
    assert len(work.items("buildings", DAY)) == 1


def test_without_jobs_there_are_no_results_yet(work):
    assert work.collect("buildings", DAY).success
    assert not work.is_materialized("buildings", "processed_items", DAY)


def test_jobs_with_parameters_that_the_step_had_before_do_not_count(works):
    def step(sensitivity):
        return Step(name="change", template=DetectionChangeSimularity(sensitivity=sensitivity), reference_days=1)

    item, reference = works.deliver("bundle", "bundle")
    source = works.offer(june_4=[item], june_3=[reference])
    before = works.workflow(step(2), source=source)
    assert before.start(DAY).success
    works.advance()
    after = works.workflow(step(3), source=source, name=before.pipeline.name)
    assert after.collect("change", DAY).success
    assert not after.is_materialized("change", "processed_items", DAY)
    assert after.start(DAY).success
    works.advance()
    assert after.collect("change", DAY).success
    [landed] = after.items("change", DAY)
    assert [job["id"] for job in after.jobs()][1] == landed.properties["up42:job_id"]
