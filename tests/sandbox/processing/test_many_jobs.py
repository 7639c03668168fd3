"""Lists of jobs stay quick when there are thousands."""

import time

import pytest

from up42_pipelines.sandbox.app import open_world
from up42_pipelines.sandbox.core.clock import SECOND
from up42_pipelines.sandbox.processing import job_book, processes
from up42_pipelines.sandbox.processing.job_book import JobFilter, Place
from up42_pipelines.sandbox.processing.process_input import JobInput

COUNT = 5_000
STEPS = ("created", "licensed", "valid", "accepted", "running", "successful")
CPU_SECONDS = 0.15


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Five thousand jobs; every tenth is still running."""
    world = open_world(state=tmp_path_factory.mktemp("state"))
    now = world.now()
    with world.database.transaction():
        for number in range(COUNT):
            job = f"{number:08}-0000-4000-8000-000000000000"
            world.database.write(
                "INSERT INTO jobs (id, process_id, inputs, items, credits, created_at)"
                " VALUES (?, 'pansharpening', '{}', '', 3, ?)",
                (job, now - (COUNT - number) * SECOND),
            )
            for step, status in enumerate(STEPS):
                later = status == "successful" and number % 10 == 0
                at = now + 3600 * SECOND if later else now - (COUNT - number) * SECOND + step
                world.database.write("INSERT INTO job_events VALUES (?, ?, ?, ?)", (job, at, step, status))
    yield world
    world.database.close()


def test_the_same_items_given_once_more_are_another_lot(world):
    process = processes.find("coregistration-simularity")

    def lot(source, reference):
        inputs = {
            "title": "x",
            "sourceItem": f"http://x/items/{source}",
            "referenceItem": f"http://x/items/{reference}",
        }
        return job_book.lot(world, JobInput(process, inputs, {}, ()))

    for number in range(2):
        assert [lot("A", "b")[-1], lot("b", "a")[-1]] == [number, 0]
        world.database.write(
            "INSERT INTO jobs (id, process_id, inputs, items, credits, created_at) VALUES (?, ?, '{}', 'a,b', 0, 0)",
            (f"again {number}", process.id),
        )


@pytest.mark.parametrize(
    ("wanted", "sort", "first"),
    [
        ({}, "created", COUNT - 1),
        ({"statuses": ["running", "accepted"]}, "created", COUNT - 10),
        ({"statuses": ["successful"]}, "status", COUNT - 1),
        ({"job_ids": [f"{number:08}-0000-4000-8000-000000000000" for number in range(100)]}, "created", 99),
        ({"process_ids": ["pansharpening"]}, "creditConsumption.credits", COUNT - 1),
    ],
    ids=["all", "open", "done", "a hundred ids", "by credits"],
)
def test_a_page_of_five_thousand_jobs_costs_a_moment(world, wanted, sort, first):
    nothing = {"workspace_id": None, "process_ids": [], "statuses": [], "job_ids": []}
    nothing |= {"min_duration": None, "max_duration": None}
    started = time.process_time()
    rows, following = job_book.page(
        world,
        JobFilter(placed_until=world.now(), **{**nothing, **wanted}),
        sort,
        Place(world.now()),
        100,
        descending=True,
    )
    assert time.process_time() - started < CPU_SECONDS
    assert (len(rows), rows[0]["id"][:8]) == (100, f"{first:08}")
    assert (following is None) == ("job_ids" in wanted)
