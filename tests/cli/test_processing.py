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
    assert "raise the generation" in next(line for line in said.lines if line.startswith("what to do"))


def test_a_job_that_is_not_there(cli):
    assert cli("jobs show 00000000-0000-4000-8000-000000000000").code == 1


@pytest.fixture(scope="session")
def item(shop, fulfilled):
    return shop.client.storage.items_of_order(fulfilled)[0]


def test_the_processes_with_their_prices(cli, shop):
    said = cli("jobs processes")
    assert said.lines[0].split() == ["process", "credits", "title"]
    (line,) = [line for line in said.lines if line.startswith("upsampling-ns ")]
    assert line.split(maxsplit=4)[1:] == ["5", "/", "km²", "Upsampling"]
    assert cli("jobs processes --json").json == [one.raw for one in shop.client.processing.processes()]


def test_the_processes_that_take_an_item(cli, item):
    by_id, by_href = (cli(["jobs", "processes", "--item", one, "--json"]).json for one in (item.id, item.self_href))
    assert by_id == by_href
    verdicts = {process["id"]: process["takesItem"] for process in by_id}
    assert verdicts["upsampling-ns"] == "yes"
    assert verdicts["pansharpening"].startswith("MissingPanchromaticAsset: ")
    assert verdicts["coregistration-simularity"] == "needs 2 items"
    assert cli(["jobs", "processes", "--item", item.id]).lines[0].split() == ["process", "credits", "takes", "it"]


def test_an_item_that_is_not_there(cli):
    said = cli("jobs processes --item 00000000-0000-4000-8000-000000000000")
    assert (said.code, said.stdout) == (2, "")
    assert "There is no item 00000000-0000-4000-8000-000000000000 in storage" in said.stderr


class TestCheck:
    """`jobs check`."""

    def test_a_job_that_would_be_taken(self, cli, item):
        said = cli(["jobs", "check", "upsampling-ns", item.id])
        assert (said.code, said.stderr) == (0, "")
        shown = dict(line.split(maxsplit=1) for line in said.lines)
        assert shown["items"] == item.self_href
        assert shown["EULA"].endswith("accepted")
        assert shown["price"].endswith("EUR)")
        document = cli(["jobs", "check", "upsampling-ns", item.id, "--json"]).json
        assert document["inputs"] == {"title": "check", "item": item.self_href}
        assert (document["problems"], document["eulaAccepted"]) == ([], True)
        assert f"{document['cost']['totalCredits']} credits" in shown["price"]

    def test_what_would_be_wrong(self, cli, item):
        said = cli(["jobs", "check", "pansharpening", item.id])
        assert said.code == 1
        assert "problems" in said.stdout
        assert "MissingPanchromaticAsset: " in said.stdout
        assert "price" not in said.stdout

    def test_parameters_and_pairs(self, cli, item):
        said = cli(
            ["jobs", "check", "detection-change-simularity", item.id, item.id, "--param", "sensitivity=5", "--json"]
        )
        assert said.code == 1
        inputs = said.json["inputs"]
        assert (inputs["sourceItem"], inputs["referenceItem"], inputs["sensitivity"]) == (*[item.self_href] * 2, 5)
        assert [problem["name"] for problem in said.json["problems"]] == ["IdenticalItems"]
        assert cli(["jobs", "check", "detection-change-simularity", item.id]).code == 2

    def test_a_process_that_nobody_knows(self, cli, item):
        said = cli(["jobs", "check", "gold-detection", item.id, "--json"])
        assert (said.code, said.json["problems"][0]["name"]) == (1, "ProcessNotFound")
        assert (
            cli(["jobs", "check", "gold-detection", item.id, item.id, "--json"]).json["inputs"]["items"]
            == [item.self_href] * 2
        )

    def test_a_licence_that_is_not_accepted(self, cli, shop, item):
        eula_id = shop.client.processing.process("upsampling-ns").eula_id
        shop.control("access", {"eulas": {eula_id: False}})
        try:
            said = cli(["jobs", "check", "upsampling-ns", item.id])
        finally:
            shop.control("access", {"eulas": {eula_id: True}})
        assert said.code == 1
        assert f"{eula_id}, not accepted" in said.stdout


def test_watching_until_the_end(cli, job, shop, item):
    done = job("successful")
    assert cli(f"jobs watch {done.id} --json").json == [done.raw]
    shop.control("fates", {"kind": "job", "fate": "failed"})
    started = shop.client.processing.execute("upsampling-ns", {"title": "watched", "item": item.self_href})
    said = cli(f"jobs watch {done.id} {started.id} --every 0.1 --for 30")
    assert said.code == 1
    assert said.lines[0].startswith(f"{done.id} {done.status}: ")
    assert said.lines[-1].startswith((f"{started.id} failed: ", f"{started.id} released: "))


def test_a_job_under_way_has_not_failed(cli, job, monkeypatch):
    done = job("successful")
    changes = [done.model_copy(update={"status": JobStatus.RUNNING}), done]
    monkeypatch.setattr("up42_pipelines.api.processing.Processing.follow", lambda *_, **__: iter(changes))
    said = cli(f"jobs watch {done.id}")
    assert said.code == 0
    assert [line.split(maxsplit=1)[1].partition(":")[0] for line in said.lines] == ["running", done.status]


class TestResults:
    """`jobs results`."""

    def test_the_files_of_every_item(self, cli, job, shop, tmp_path):
        done = job("successful")
        said = cli(["jobs", "results", done.id, "--to", str(tmp_path)])
        assert (said.code, said.stderr) == (0, "")
        (result,) = shop.client.storage.items_of_job(done.id)
        assert len(said.lines) == len(result.assets) > 0
        assert sorted(said.lines) == sorted(str(path) for path in tmp_path.iterdir())

    def test_of_a_job_that_failed_there_are_none(self, cli, job, tmp_path):
        failed = job("failed")
        said = cli(["jobs", "results", failed.id, "--to", str(tmp_path)])
        assert (said.code, said.stdout, list(tmp_path.iterdir())) == (1, "", [])
        assert failed.id in said.stderr
        assert failed.errors[0].message in said.stderr
