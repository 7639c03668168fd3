"""Processing at the sandbox: jobs of every fate, and their lists. Nothing happens until a test lets time pass."""

import math
import uuid

import pytest
import requests
from shapely.geometry import box, shape

from up42_pipelines.api import JobSort, JobStatus, Sort
from up42_pipelines.errors import InvalidRequest, NotAuthorized, NotFound

AREA = box(12.48, 41.88, 12.49, 41.89)
NOBODY = str(uuid.UUID(int=1))
UPSAMPLING, FREE = "upsampling-ns", "true-color-conversion"


@pytest.fixture(scope="module")
def client(paused):
    client = paused.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def item(client, steer, scenes_at, order_input):
    """An item of multispectral data in storage."""
    steer("fates", kind="order", fate="fulfilled")
    [line] = client.orders.place(order_input(client, AREA, scene=scenes_at(client, AREA)[0])).results
    steer("clock", advance=1000)
    [item] = client.storage.items_of_order(line.id)
    return item


@pytest.fixture(scope="module")
def run(client, steer, item):
    """`run(fate)`: executes a job with this fate, lets it come to its end, and returns its id."""

    def run(fate, process_id=UPSAMPLING, title=None, **options):
        steer("fates", kind="job", fate=fate)
        inputs = {"title": title or fate, "item": item.self_href}
        job = client.processing.execute(process_id, inputs, **options)
        steer("clock", advance=600)
        return job.id

    return run


def jobs_in_ledger(paused):
    return requests.get(f"{paused.url}/sandbox/ledger", timeout=10).json()["jobs"]


def charges(paused, job_id):
    [entry] = [one for one in jobs_in_ledger(paused) if one["id"] == job_id]
    return entry["charges"]


class TestProcessesOfTheSandbox:
    def test_all_and_one(self, client):
        processes = {process.id: process for process in client.processing.processes()}
        assert {UPSAMPLING, FREE, "pansharpening"} <= set(processes)
        for process in processes.values():
            assert process.title
            assert process.eula_id
        alone = client.processing.process(UPSAMPLING)
        assert (alone.title, alone.eula_id, alone.prices) == (
            processes[UPSAMPLING].title,
            processes[UPSAMPLING].eula_id,
            processes[UPSAMPLING].prices,
        )
        assert [(price.credits, price.unit) for price in alone.prices] == [(5, "SQ_KM")]
        assert set(alone.inputs) == {"title", "item"}

    def test_unknown(self, client):
        with pytest.raises(NotFound, match="no-such-process"):
            client.processing.process("no-such-process")
        for ask in (client.processing.job, client.processing.eula):
            with pytest.raises(NotFound, match=NOBODY):
                ask(NOBODY)

    def test_cost(self, client, item):
        inputs = {"title": "t", "item": item.self_href}
        cost = client.processing.cost(UPSAMPLING, inputs)
        assert (cost.pricing_strategy, cost.unit) == ("area", "SQ_KM")
        assert cost.total_size > 0
        assert cost.total_credits == math.ceil(cost.total_size * 5)
        assert client.processing.cost(FREE, inputs).total_credits == 0
        with pytest.raises(InvalidRequest, match="InvalidTitle"):
            client.processing.cost(UPSAMPLING, inputs | {"title": " "})

    def test_validate(self, client, item):
        inputs = {"title": "t", "item": item.self_href}

        def names(process_id, inputs):
            return [problem.name for problem in client.processing.validate(process_id, inputs)]

        assert names(UPSAMPLING, inputs) == []
        assert names(UPSAMPLING, {"title": "t"}) == ["InvalidSchema"]
        assert names(UPSAMPLING, inputs | {"title": "x" * 500}) == ["InvalidTitle"]
        assert names("pansharpening", inputs | {"title": ""}) == ["InvalidTitle", "MissingPanchromaticAsset"]
        [problem] = client.processing.validate(UPSAMPLING, {"item": item.self_href})
        assert problem.message == "data.inputs must contain ['title'] properties"
        with pytest.raises(NotFound):
            client.processing.validate("no-such-process", inputs)


class TestJobsOfTheSandbox:
    @pytest.mark.parametrize("fate", ["successful", "captured"])
    def test_that_succeed(self, client, run, paused, item, fate):
        job = client.processing.job(run(fate))
        assert (job.status, job.is_final, job.is_successful) == (fate, True, True)
        assert (job.process_id, job.workspace_id) == (UPSAMPLING, client.workspace_id)
        assert job.inputs == {"title": fate, "item": item.self_href}
        assert job.created <= job.started < job.finished <= job.updated
        cost = client.processing.cost(UPSAMPLING, job.inputs)
        assert job.credits == cost.total_credits == sum(one["credits"] for one in charges(paused, job.id))
        [result] = client.storage.items_of_job(job.id)
        assert result.collection_id == job.collection_id
        assert [one.id for one in client.storage.items_of_collection(job.collection_id)] == [result.id]
        assert result.properties["up42-system:job_id"] == job.id
        assert shape(result.geometry).equals(shape(item.geometry))

    @pytest.mark.parametrize(
        ("fate", "status", "errors", "final"),
        [
            ("failed", "released", True, True),
            ("invalid", "invalid", True, True),
            ("unlicensed", "unlicensed", False, True),
            ("rejected", "rejected", False, True),
            ("running", "running", False, False),
        ],
    )
    def test_that_do_not(self, client, run, paused, fate, status, errors, final):
        job = client.processing.job(run(fate))
        assert (job.status, job.is_final, job.is_successful) == (JobStatus(status), final, False)
        assert job.status.is_failure == final
        assert (job.collection_id, job.credits) == (None, None)
        assert all(problem.name and problem.message for problem in job.errors)
        assert bool(job.errors) == errors
        assert client.storage.items_of_job(job.id) == client.storage.items_of_collection(str(uuid.uuid4())) == []
        assert charges(paused, job.id) == []

    def test_pass_through_their_statuses(self, client, steer, item):
        path = [JobStatus(name) for name in ("created", "licensed", "valid", "accepted", "running", "successful")]
        steer("fates", kind="job", fate="successful")
        job = client.processing.execute(UPSAMPLING, {"title": "step by step", "item": item.self_href})
        assert (job.status, job.started, job.results) == (JobStatus.CREATED, None, None)
        seen = [path.index(job.status)]
        while not job.is_final:
            steer("clock", advance=4)
            job = client.processing.job(job.id)
            seen.append(path.index(job.status))
        assert seen == sorted(seen)
        assert {path.index("accepted"), path.index("running")} <= set(seen)  # the others last less than a step
        assert job.is_successful

    def test_on_a_budget(self, client, run, item):
        budget = next(budget for budget in client.account.budgets() if budget.is_active and not budget.spend_limit)
        before = client.account.budget_usage(budget.id).consumed_credits
        job = client.processing.job(run("successful", budget_id=budget.id))
        assert client.account.budget_usage(budget.id).consumed_credits == before + job.credits
        with pytest.raises(NotFound, match=NOBODY):
            client.processing.execute(UPSAMPLING, {"title": "t", "item": item.self_href}, budget_id=NOBODY)

    def test_refused(self, client, paused, item):
        before = len(jobs_in_ledger(paused))
        with pytest.raises(InvalidRequest, match="must contain"):
            client.processing.execute(UPSAMPLING, {"title": "t"})
        stranger = paused.client(workspace_id=NOBODY)
        with pytest.raises(NotAuthorized):
            stranger.processing.execute(UPSAMPLING, {"title": "t", "item": item.self_href})
        assert list(stranger.processing.jobs()) == []
        stranger.transport.close()
        assert len(jobs_in_ledger(paused)) == before

    def test_a_licence_that_is_not_accepted(self, client, steer, run):
        process = client.processing.process("detection-trucks-oi")
        assert client.processing.eula(process.eula_id).is_accepted
        steer("access", eulas={process.eula_id: False})
        assert not client.processing.eula(process.eula_id).is_accepted
        assert client.processing.job(run("successful", process.id)).status is JobStatus.UNLICENSED


@pytest.fixture(scope="module")
def listed(client, run, steer):
    """Five jobs, oldest first: of two processes, of several ends, prices and durations."""
    made = [
        run("successful", title="0"),
        run("running", title="1"),
        run("captured", FREE, title="2"),
        run("failed", title="3"),
        run("rejected", FREE, title="4"),
    ]
    steer("clock", advance=10_000)
    return made


class TestListsOfTheSandbox:
    """What the fixture made, told apart from what other tests made by its ids."""

    @pytest.mark.parametrize(
        ("filters", "numbers"),
        [
            ({}, [0, 1, 2, 3, 4]),
            ({"process_ids": [FREE]}, [2, 4]),
            ({"process_ids": [FREE, UPSAMPLING]}, [0, 1, 2, 3, 4]),
            ({"process_ids": ["pansharpening"]}, []),
            ({"status": ["successful"]}, [0]),
            ({"status": [JobStatus.CAPTURED, JobStatus.RELEASED, "rejected"]}, [2, 3, 4]),
            ({"status": ["created"]}, []),
            ({"min_duration_s": 5000}, [1]),
            ({"max_duration_s": 5000}, [0, 2, 3]),
            ({"min_duration_s": 0, "max_duration_s": 0}, []),
            ({"process_ids": [UPSAMPLING], "status": ["successful", "running"], "min_duration_s": 5000}, [1]),
        ],
    )
    @pytest.mark.parametrize("page_size", [2, 100])
    def test_filters(self, client, listed, filters, numbers, page_size):
        found = client.processing.jobs(**filters, page_size=page_size)
        assert sorted(listed.index(job.id) for job in found if job.id in listed) == numbers

    def test_by_id(self, client, listed):
        found = client.processing.jobs(job_ids=[listed[3], listed[1], NOBODY], page_size=1)
        assert [job.id for job in found] == [listed[3], listed[1]]

    @pytest.mark.parametrize("page_size", [1, 2, 5])
    @pytest.mark.parametrize(
        ("sort", "value"),
        [
            (JobSort.created, lambda job: job.created),
            (JobSort.process_id, lambda job: job.process_id),
            (JobSort.status, lambda job: job.status),
            (JobSort.credits, lambda job: -1 if job.credits is None else job.credits),
        ],
    )
    def test_sorts(self, client, listed, sort, value, page_size):
        for direction, reverse in ((sort.asc, False), (sort.desc, True)):
            found = list(client.processing.jobs(job_ids=listed, sort=direction, page_size=page_size))
            assert sorted(job.id for job in found) == sorted(listed)
            values = [value(job) for job in found]
            assert values == sorted(values, reverse=reverse)
            assert len(set(values)) > 1

    def test_newest_first_when_not_said(self, client, listed):
        assert [job.title for job in client.processing.jobs(job_ids=listed)] == ["4", "3", "2", "1", "0"]

    @pytest.mark.usefixtures("listed")
    def test_jobs_that_start_meanwhile(self, client, item):
        before = [job.id for job in client.processing.jobs()]
        paging = client.processing.jobs(page_size=2)
        found = [next(paging).id]
        for number in range(3):
            client.processing.execute(FREE, {"title": f"meanwhile {number}", "item": item.self_href})
        found += [job.id for job in paging]
        assert len(found) == len(set(found))
        assert [job_id for job_id in found if job_id in before] == before

    def test_refused(self, client):
        with pytest.raises(InvalidRequest, match="sort must be one of"):
            list(client.processing.jobs(sort=Sort("updated")))
        with pytest.raises(InvalidRequest, match="status must be one of"):
            list(client.processing.jobs(status=["done"]))
