"""`jobs`."""

import pytest

from up42_pipelines.api import JobStatus


@pytest.fixture
def job(shop, fulfilled, wait_for):
    """`job(fate)`: starts one that ends as told, and waits for its end."""

    def start(fate):
        shop.control("fates", {"kind": "job", "fate": fate})
        (item,) = shop.client.storage.items_of_order(fulfilled)
        inputs = {"title": f"to be {fate}", "item": item.get_self_href()}
        job_id = shop.client.processing.execute("detection-trees-spacept", inputs).id
        return wait_for(lambda: (job := shop.client.processing.job(job_id)).is_final and job)

    return start


def test_the_list_and_its_filters(cli, job):
    done, failed = job("successful"), job("failed")
    said = cli("jobs list")
    assert said.lines[0].split() == ["job", "created", "status", "credits", "process", "title"]
    (line,) = [line for line in said.lines if done.id in line]
    assert line.split()[2:5] == [done.status, f"{done.credits:.0f}", "detection-trees-spacept"]
    assert line.endswith("to be successful")
    assert [one["jobID"] for one in cli("jobs list --json --limit 2").json] == [failed.id, done.id]
    assert done.id not in cli("jobs list --status FAILED --status released").stdout
    assert failed.id in cli("jobs list --process detection-trees-spacept --status failed --status released").stdout
    assert cli("jobs list --process pansharpening --json").json == []
    assert cli("jobs list --longer-than 86400").stderr == "No jobs.\n"
    assert done.id in cli("jobs list --shorter-than 86400").stdout


def test_a_job_that_succeeded_in_words(cli, job):
    done = job("successful")
    said = cli(f"jobs show {done.id}")
    assert f"status      {JobStatus(done.status)}: {JobStatus(done.status).meaning}" in said.lines
    assert f"collection  {done.collection_id}" in said.lines
    assert cli(f"jobs show {done.id} --json").json == done.raw


def test_a_job_that_failed_says_why(cli, job):
    failed = job("failed")
    said = cli(f"jobs show {failed.id}")
    assert failed.errors
    for error in failed.errors:
        assert f"{error.name}: {error.message}" in said.stdout


def test_a_job_that_is_not_there(cli):
    assert cli("jobs show 00000000-0000-4000-8000-000000000000").code == 1
