"""A workflow's jobs by what their titles tell, and how much of UP42's list is read for it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.api.processing import Job
from up42_pipelines.errors import NotFound
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.listing import JobSearch, jobs_of
from up42_pipelines.processing.templates import Pansharpening, TrueColorConversion
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.protocol import Timing

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
TIMING = Timing(settling_s=100, skew_s=10)
OVERLAP = timedelta(seconds=110)
PAGE = 10
WORKFLOW = Workflow(
    name="trees",
    steps=[Step(name="sharp", template=Pansharpening()), Step(name="colour", template=TrueColorConversion())],
)


def key_of(number):
    return f"{number:032x}"


def job(number, *, created=None, title=None, process_id="pansharpening", step="sharp", **about):
    about = {"workflow": "trees", "partition": "a|b", "credits": 5, **about}
    return Job.parse(
        {
            "jobID": f"job {number}",
            "processID": process_id,
            "status": "running",
            "created": created,
            "definition": {"inputs": {"title": title or str(JobTitle(key=key_of(number), step=step, **about))}},
        }
    )


class Up42:
    """A list of jobs; a job is in it some time after it was created. Counts the requests."""

    def __init__(self):
        self.now, self.placed, self.requests, self.in_order = NOON, [], 0, True

    def place(self, number, *, lag=timedelta(0), **options):
        self.placed.append((job(number, created=self.now.isoformat(), **options), self.now + lag))

    def job(self, job_id):
        self.requests += 1
        for one, _ in self.placed:
            if one.id == job_id:
                return one
        raise NotFound(method="GET", url=job_id, status=404, title="no such job")

    def jobs(self, *, process_ids, sort):
        listed = [one for one, at in self.placed if at <= self.now and one.process_id in process_ids]
        if self.in_order:
            dated = [one for one in listed if one.created]
            dated.sort(key=lambda one: one.created, reverse=sort.descending)
            listed = [*dated, *(one for one in listed if not one.created)]
        for start in range(0, max(1, len(listed)), PAGE):
            self.requests += 1
            yield from listed[start : start + PAGE]

    def spent(self):
        """Requests since this was asked last."""
        spent, self.requests = self.requests, 0
        return spent


@pytest.fixture
def up42():
    return Up42()


@pytest.fixture
def search(up42):
    return JobSearch(up42, TIMING)


def found(search, number):
    return [one.id for one in search.with_key("pansharpening", key_of(number))]


class TestJobsOf:
    def test_one_partition_of_a_step_the_oldest_first(self, up42):
        for number in (3, 1, 2):
            up42.place(number)
            up42.now += timedelta(seconds=1)
        up42.place(4, partition="a|c")
        up42.place(5, step="colour", process_id="true-color-conversion")
        up42.place(6, step="colour")
        up42.place(7, workflow="roofs")
        up42.place(8, title="by hand")
        found = jobs_of(up42, WORKFLOW, WORKFLOW.step("sharp"), "a|b")
        assert [job.id for job, _ in found] == ["job 3", "job 1", "job 2"]
        assert [title.key for _, title in found] == [key_of(3), key_of(1), key_of(2)]

    def test_what_is_known_to_be_bought_is_there_before_up42_lists_it(self, up42):
        up42.place(1)
        up42.place(2, lag=timedelta(minutes=1))
        found = jobs_of(up42, WORKFLOW, WORKFLOW.step("sharp"), "a|b", bought=["job 2", "job 1", "job of old"])
        assert [job.id for job, _ in found] == ["job 1", "job 2"]
        assert up42.requests == 1 + 2


class TestSearch:
    def test_a_collection_costs_a_request_each_and_the_pages_once(self, up42, search):
        for number in range(1000):
            up42.place(number)
            up42.now += timedelta(hours=1)
        for number in range(1000, 1100):
            assert found(search, number) == []
            up42.place(number)
            up42.now += timedelta(seconds=30)  # at most 4 within the overlap
        assert up42.spent() == 1000 / PAGE + 99

    def test_what_others_buy_meanwhile_is_found(self, up42, search):
        up42.place(1)
        assert found(search, 2) == []
        up42.now += timedelta(days=1)
        up42.place(3)
        assert found(search, 3) == ["job 3"]

    def test_what_was_read_before_is_found_as_it_is_now(self, up42, search):
        daily(up42, 1, 2, 3)
        found(search, 99)
        old, at = up42.placed[0]
        up42.placed[0] = old.model_copy(update={"status": "captured"}), at
        up42.spent()
        [now] = search.with_key("pansharpening", key_of(1))
        assert now.status == "captured"
        assert up42.spent() == 2, "a look at the new ones, and one at the job"

    def test_what_is_listed_late_is_found_within_the_overlap(self, up42, search):
        up42.place(1, lag=OVERLAP)
        for number in (2, 3):
            up42.now += timedelta(seconds=1)
            up42.place(number)
        assert found(search, 99) == []
        up42.now = NOON + OVERLAP - timedelta(seconds=1)
        up42.place(4)
        assert found(search, 98) == []
        up42.now = NOON + OVERLAP
        assert found(search, 1) == ["job 1"]

    def test_a_key_that_is_asked_for_again_is_looked_for_everywhere(self, up42, search):
        up42.place(1, lag=timedelta(days=9))
        up42.now += timedelta(days=1)
        daily(up42, 2, 3)
        assert found(search, 1) == []
        up42.now = NOON + timedelta(days=9)
        daily(up42, 4)
        assert found(search, 99) == []
        assert found(search, 1) == ["job 1"]

    def test_a_list_that_is_not_in_order_is_read_to_its_end(self, up42, search):
        up42.in_order = False
        for number in range(30):
            up42.now = NOON + timedelta(days=number * 7 % 30)
            up42.place(number)
        up42.now = NOON + timedelta(days=30)
        for number in range(30):
            assert found(search, number) == [f"job {number}"]
        assert up42.spent() == 30 * 3

    def test_a_list_that_comes_in_another_order_than_asked_for(self, up42, search):
        for number in range(30):
            up42.place(number)
            up42.now += timedelta(days=1)
        assert found(search, 99) == []
        up42.in_order = False
        up42.place(30)
        assert found(search, 30) == ["job 30"]

    def test_jobs_without_a_date(self, up42, search):
        daily(up42, 1, 2, 3)
        up42.placed.append((job(4), NOON))
        assert found(search, 4) == ["job 4"]
        up42.placed.append((job(5), NOON))
        assert found(search, 5) == ["job 5"]

    def test_a_reading_that_broke_off_counts_for_nothing(self, up42, search):
        for number in range(30):
            up42.place(number)
            up42.now += timedelta(days=1)
        found(search, 99)
        up42.now += timedelta(days=1)
        for number in range(30, 60):
            up42.place(number)
        whole = up42.jobs

        def broken(**options):
            for number, one in enumerate(whole(**options)):
                if number == PAGE:
                    raise ConnectionError
                yield one

        up42.jobs = broken
        with pytest.raises(ConnectionError):
            found(search, 98)
        up42.jobs = whole
        assert found(search, 30) == ["job 30"]

    def test_processes_are_searched_apart(self, up42, search):
        colour = "true-color-conversion"
        daily(up42, 1)
        up42.place(2, process_id=colour)
        assert found(search, 1) == ["job 1"]
        assert [one.id for one in search.with_key(colour, key_of(2))] == ["job 2"]
        assert found(search, 2) == []
        daily(up42, 3, 4, 5)
        up42.place(6, process_id=colour)
        search.with_key(colour, key_of(6))
        assert found(search, 3) == ["job 3"]


def daily(up42, *numbers):
    for number in numbers:
        up42.place(number)
        up42.now += timedelta(days=1)


STEPS = st.lists(
    st.tuples(st.sampled_from(["place", "look"]), st.sampled_from([0, 1, 60]), st.sampled_from([0, 50, 110])),
    min_size=5,
    max_size=40,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_nothing_is_missed_that_the_whole_list_shows(steps):
    """Jobs are placed by others and looked for; each is listed within the overlap."""
    up42 = Up42()
    search = JobSearch(up42, TIMING)
    for number, (step, pause, lag) in enumerate(steps):
        up42.now += timedelta(seconds=pause)
        if step == "place":
            up42.place(number, lag=timedelta(seconds=lag))
            continue
        listed = {one.id for one, at in up42.placed if at <= up42.now}
        search.with_key("pansharpening", f"look {number}")
        assert {one for one in search._titles["pansharpening"] if one in listed} == listed
