"""The items that a job made, also when they come late or never. Storage is a stand-in that decides what is seen."""

from types import SimpleNamespace

import pytest

from up42_pipelines.api.processing import Job
from up42_pipelines.errors import NotFound, ResultsMissing
from up42_pipelines.processing import results
from up42_pipelines.processing.results import result_items

GONE = NotFound(method="GET", url="https://api.up42.com", status=404, title="no such collection")


def job(status="successful", collection="https://api.up42.com/v2/assets/stac/collections/made"):
    return Job.parse(
        {"jobID": "one", "processID": "upsampling-ns", "status": status, "results": {"collection": collection}}
    )


class Storage:
    """Shows what it is told, look by look; the last for ever. And a clock that only its sleeper moves."""

    def __init__(self, monkeypatch, *looks, of_job=()):
        self.looks, self.of_job, self.asked, self.pauses = list(looks), list(of_job), [], []
        self.now = 1000.0
        monkeypatch.setattr(results, "uptime_s", lambda: self.now)

    def items_of_collection(self, collection_id):
        self.asked.append(collection_id)
        seen = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(seen, Exception):
            raise seen
        return seen

    def items_of_job(self, job_id):
        assert job_id == "one"
        return self.of_job

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


ITEM = SimpleNamespace(id="item")


def test_there_at_once(monkeypatch):
    storage = Storage(monkeypatch, [ITEM])
    assert result_items(storage, job(), sleep=storage.sleep) == [ITEM]
    assert (storage.asked, storage.pauses) == (["made"], [])


@pytest.mark.parametrize("nothing", [[], GONE])
def test_a_collection_that_comes_late_is_waited_for_less_and_less_often(monkeypatch, nothing):
    storage = Storage(monkeypatch, *[nothing] * 7, [ITEM])
    assert result_items(storage, job(), sleep=storage.sleep) == [ITEM]
    assert storage.pauses == [0.5, 1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("nothing", [[], GONE])
def test_a_collection_that_never_comes_is_told_with_what_to_do(monkeypatch, nothing):
    storage = Storage(monkeypatch, nothing)
    with pytest.raises(ResultsMissing, match=r"Job one: .*collection made .*60 s.*not bought again.*support") as caught:
        result_items(storage, job(), sleep=storage.sleep)
    assert (caught.value.job_id, caught.value.collection_id) == ("one", "made")
    assert sum(storage.pauses) == pytest.approx(60)


def test_no_patience_is_one_look(monkeypatch):
    storage = Storage(monkeypatch, [])
    with pytest.raises(ResultsMissing):
        result_items(storage, job(), patience_s=0, sleep=storage.sleep)
    assert (storage.asked, storage.pauses) == (["made"], [])


def test_items_are_found_by_the_job_when_the_collection_is_not(monkeypatch):
    storage = Storage(monkeypatch, GONE, of_job=[ITEM])
    assert result_items(storage, job(), sleep=storage.sleep) == [ITEM]
    assert result_items(storage, job(collection=None), sleep=storage.sleep) == [ITEM]


def test_a_job_that_names_no_collection(monkeypatch):
    storage = Storage(monkeypatch, [])
    with pytest.raises(ResultsMissing, match="names no result collection"):
        result_items(storage, job(collection=None), patience_s=0, sleep=storage.sleep)


@pytest.mark.parametrize(("status", "told"), [("running", "computed"), ("released", "credits were returned")])
def test_of_a_job_without_results_nothing_is_asked(monkeypatch, status, told):
    storage = Storage(monkeypatch, [ITEM])
    with pytest.raises(ResultsMissing, match=rf"has not succeeded.*{told}"):
        result_items(storage, job(status), sleep=storage.sleep)
    assert storage.asked == []
