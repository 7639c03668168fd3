"""What became of a job, in every status, and which of several counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.api.processing import Job, JobStatus
from up42_pipelines.processing.outcome import JobState, current, outcome_of
from up42_pipelines.processing.templates import AnyProcess, DetectionChangeSimularity, Pansharpening, UpsamplingNS

ITEM = "https://api.up42.com/v2/assets/stac/collections/c/items/{}"
FINER = UpsamplingNS()
WAITING = {"created", "licensed", "valid", "accepted", "running"}
SUCCEEDED = {"successful", "captured"}
STATUSES = st.sampled_from([*(str(status) for status in JobStatus), "quarantined"])


def job(name="one", status="running", *, day=1, errors=(), process="upsampling-ns", **inputs):
    return Job.parse(
        {
            "jobID": name,
            "processID": process,
            "status": status,
            "created": None if day is None else f"2026-06-{day:02}T12:00:00Z",
            "results": {"errors": list(errors)},
            "definition": {"inputs": {"title": f"title of {name}", "item": ITEM.format("a")} | inputs},
        }
    )


def ids(jobs):
    return [one.id for one in jobs]


class TestOutcome:
    @pytest.mark.parametrize("status", list(JobStatus))
    def test_every_status_is_judged(self, status):
        outcome = outcome_of(job(status=str(status)))
        expected = JobState.SUCCEEDED if status in SUCCEEDED else JobState.FAILED
        assert outcome.state is (JobState.WAITING if status in WAITING else expected)
        assert bool(outcome.remedy) is (outcome.state is JobState.FAILED)
        assert status.meaning in outcome.reason

    @pytest.mark.parametrize(
        ("status", "remedy"),
        [
            ("unlicensed", "Nothing was charged. Accept the EULA of process upsampling-ns"),
            ("invalid", "Nothing was charged. Choose items or parameters"),
            ("rejected", "Nothing was charged. Buy credits"),
            ("failed", "until then they count as spent"),
            ("released", "The withheld credits were returned"),
        ],
    )
    def test_a_failure_says_what_to_do(self, status, remedy):
        told = outcome_of(job(status=status)).remedy
        assert remedy in told
        assert "raise the generation" in told

    @pytest.mark.parametrize("status", ["failed", "released"])
    def test_support_is_told_the_job(self, status):
        assert "support about job one" in outcome_of(job(status=status)).remedy

    def test_the_errors_of_the_job_are_told(self):
        errors = [{"name": "NoBands", "message": "there is no red band."}, {"message": "nor a green one"}]
        told = outcome_of(job(status="failed", errors=errors)).reason
        assert told.endswith("NoBands: there is no red band; nor a green one.")

    def test_a_status_that_nobody_knows_is_carried_and_waited_for(self):
        outcome = outcome_of(job(status="quarantined"))
        assert outcome.state is JobState.UNKNOWN
        assert "'quarantined'" in outcome.reason
        assert "Nothing is bought again" in outcome.remedy

    def test_sentences(self):
        outcome = outcome_of(job(status="rejected"))
        assert outcome.sentences == f"{outcome.reason} {outcome.remedy}"
        assert outcome_of(job()).sentences == outcome_of(job()).reason


class TestCurrent:
    def test_the_newest_that_succeeded(self):
        jobs = [
            job("old", "captured", day=1),
            job("new", "successful", day=2),
            job("later", "running", day=3),
            job("last", "failed", day=4),
        ]
        assert ids(current(jobs, FINER)) == ["new"]

    @pytest.mark.parametrize("status", ["running", "quarantined"])
    def test_else_the_newest_that_still_may(self, status):
        jobs = [job("old", "running", day=1), job("new", status, day=2), job("last", "failed", day=3)]
        assert ids(current(jobs, FINER)) == ["new"]

    def test_else_the_newest(self):
        assert ids(current([job("old", "failed", day=1), job("new", "released", day=2)], FINER)) == ["new"]

    def test_each_item_has_its_own(self):
        jobs = [job("a", "failed", day=2), job("b", "captured", day=1, item=ITEM.format("b"))]
        assert ids(current(jobs, FINER)) == ["b", "a"]

    def test_the_host_and_the_title_make_no_difference(self):
        jobs = [job("old", "failed", day=1), job("new", "failed", day=2, item=ITEM.format("a").replace("up42", "eu"))]
        assert ids(current(jobs, FINER)) == ["new"]

    def test_a_job_without_a_date_is_the_oldest(self):
        assert ids(current([job("dated", "failed", day=1), job("undated", "failed", day=None)], FINER)) == ["dated"]

    def test_jobs_of_other_parameters_count_no_more(self):
        def changed(name, sensitivity, status):
            return job(name, status, process="detection-change-simularity", sensitivity=sensitivity)

        jobs = [changed("before", 2, "captured"), changed("now", 5, "running")]
        assert ids(current(jobs, DetectionChangeSimularity(sensitivity=5))) == ["now"]

    def test_defaults_that_up42_tells_make_no_other_job(self):
        jobs = [job("one", process="pansharpening", greyWeights=[])]
        assert ids(current(jobs, Pansharpening())) == ["one"]

    @pytest.mark.parametrize(("status", "counts"), [("running", "before"), ("captured", "now")])
    def test_a_parameter_that_was_taken_away_makes_no_second_job(self, status, counts):
        """UP42 may tell defaults, so nothing shows that the weights are no default of the process."""
        weighted = job("before", "captured", process="pansharpening", greyWeights=[{"band": "red", "weight": 1}])
        assert ids(current([weighted, job("now", status, day=2, process="pansharpening")], Pansharpening())) == [counts]

    def test_what_is_compared_with_something_else_is_bought_anew_not_beside(self):
        def compared(name, day, reference):
            items = {"sourceItem": ITEM.format("new"), "referenceItem": ITEM.format(reference)}
            return job(name, "captured", day=day, process="detection-change-simularity", sensitivity=2, **items)

        jobs = [compared("part", 1, "west"), compared("whole", 2, "all")]
        assert ids(current(jobs, DetectionChangeSimularity())) == ["whole"]

    def test_what_takes_a_list_has_one_job(self):
        mosaic = AnyProcess(process_id="mosaic", items_input="items")
        jobs = [
            job(str(day), "captured", day=day, process="mosaic", items=list(map(ITEM.format, "abc"[:day])))
            for day in (1, 2)
        ]
        assert ids(current(jobs, mosaic)) == ["2"]

    def test_a_step_with_another_process_has_none_of_them(self):
        assert current([job()], Pansharpening()) == []
        assert ids(current([job()], UpsamplingNS())) == ["one"]
        assert current([job()], AnyProcess(process_id="upsampling-ns", parameters={"factor": 2})) == []

    @given(st.lists(st.tuples(STATUSES, st.integers(1, 28)), min_size=1, max_size=6), st.randoms())
    def test_one_counts_whatever_the_order(self, told, random):
        jobs = [job(str(number), status, day=day) for number, (status, day) in enumerate(told)]
        [chosen] = current(jobs, FINER)
        random.shuffle(jobs)
        assert current(jobs, FINER) == [chosen]
        states = {outcome_of(one).state for one in jobs}
        best = [one for one in (JobState.SUCCEEDED, JobState.WAITING, JobState.UNKNOWN) if one in states]
        if JobState.SUCCEEDED in states:
            assert outcome_of(chosen).state is JobState.SUCCEEDED
        elif best:
            assert outcome_of(chosen).state in best
