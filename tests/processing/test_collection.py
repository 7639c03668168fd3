"""Many jobs handled as one, at the sandbox: one that fails keeps the others from nothing."""

import json
import uuid

import pytest
import rasterio

from up42_pipelines.api.processing import Job
from up42_pipelines.errors import BudgetExceeded, NotFound, OrderUnclear, ResultsMissing, StillUnderWay, Unreachable
from up42_pipelines.lake import Lake, read_item
from up42_pipelines.processing.buyer import job_buyer
from up42_pipelines.processing.collection import JobCollection
from up42_pipelines.processing.outcome import JobState
from up42_pipelines.processing.plan import plan_jobs
from up42_pipelines.processing.result_files import fetch_files
from up42_pipelines.processing.status_table import JobLine, as_text
from up42_pipelines.processing.templates import DetectionTreesSpacept, TrueColorConversion
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.budget import Ceilings

PARTITION = "rome|2026-05-01"
COLOUR = Step(name="colour", template=TrueColorConversion())
TREES = Step(name="trees", template=DetectionTreesSpacept(), of="colour")


class Shop:
    """A workflow of its own with an empty lake."""

    def __init__(self, workshop, folder) -> None:
        self.workshop, self.client, self.lake = workshop, workshop.client, Lake(str(folder / "lake"))
        self.name = f"w_{uuid.uuid4().hex[:8]}"

    def run(self, *fates, step=COLOUR, items=None, generation=1, **ceilings):
        workflow = Workflow(name=self.name, steps=[COLOUR, TREES], ceilings=Ceilings(**ceilings))
        plan = plan_jobs(
            workflow,
            step,
            workspace_id=self.client.workspace_id,
            partition=PARTITION,
            items=self.workshop.items if items is None else items,
            generation=generation,
        )
        buyer = job_buyer(self.client.processing, self.client.account, self.lake, workflow, run="run")
        self.workshop.fates(*fates)
        return JobCollection.run(self.client, plan, buyer)


@pytest.fixture
def shop(workshop, tmp_path):
    return Shop(workshop, tmp_path)


@pytest.fixture(scope="module")
def ended(workshop, tmp_path_factory):
    """Two jobs that ended: one well, one not."""
    shop = Shop(workshop, tmp_path_factory.mktemp("shop"))
    jobs = shop.run("captured", "failed")
    workshop.later()
    return jobs.refresh()


class TestRun:
    def test_each_job_is_bought_once(self, shop):
        before = set(shop.workshop.job_ids())
        jobs, again = shop.run("captured", "captured"), shop.run()
        assert [job.id for job in jobs] == [job.id for job in again]
        assert set(shop.workshop.job_ids()) - before == {job.id for job in jobs}
        assert (len(jobs), jobs.refused) == (2, {})

    def test_what_is_refused_keeps_no_other(self, shop):
        jobs = shop.run("captured", step=TREES, partition=2)
        assert len(jobs) == 1
        [(item_id, refusal)] = jobs.refused.items()
        assert item_id == shop.workshop.items[1].id
        assert isinstance(refusal, BudgetExceeded)

    def test_a_job_whose_details_cannot_be_read_is_told(self, shop, monkeypatch):
        shop.run("captured", "captured")
        bought = iter([Job.parse({"jobID": "a", "processID": "p", "status": "created"}), None])
        monkeypatch.setattr(
            "up42_pipelines.processing.buyer.JobBuyer.buy",
            lambda *_: type("Bought", (), {"id": "b", "record": next(bought)}),
        )
        monkeypatch.setattr(shop.client.processing, "job", lambda _: (_ for _ in ()).throw(Unreachable("No way.")))
        jobs = shop.run()
        assert [job.id for job in jobs] == ["a"]
        [error] = jobs.refused.values()
        assert isinstance(error, OrderUnclear)
        assert str(error) == "Job b was bought; its details cannot be read yet. No way. Run again."


class TestMade:
    def test_from_ids_in_their_order_each_once(self, ended):
        first, second = (job.id for job in ended)
        assert [job.id for job in JobCollection.of_ids(ended.client, [second, first, second])] == [second, first]

    def test_an_id_that_up42_does_not_know(self, ended):
        with pytest.raises(NotFound):
            JobCollection.of_ids(ended.client, [str(uuid.UUID(int=1))])

    def test_from_many_ids_with_few_requests(self, workshop, monkeypatch):
        asked = []

        def jobs(*, job_ids):
            asked.append(len(job_ids))
            return [Job.parse({"jobID": one, "processID": "p", "status": "running"}) for one in job_ids]

        monkeypatch.setattr(workshop.client.processing, "jobs", jobs)
        made = JobCollection.of_ids(workshop.client, [str(number) for number in range(250)])
        assert ([job.id for job in made][-1], asked) == ("249", [100, 100, 50])

    def test_from_the_titles_of_a_workflow(self, shop):
        colours, trees = shop.run("captured", "captured"), shop.run("captured", "captured", step=TREES)
        workflow = Workflow(name=shop.name, steps=[COLOUR, TREES])

        def found(**options):
            return {job.id for job in JobCollection.of_workflow(shop.client, workflow, **options)}

        assert found() == {job.id for job in (*colours, *trees)}
        assert found(step="trees") == found(step="trees", partition=PARTITION) == {job.id for job in trees}
        assert found(partition="elsewhere") == set()
        other = Workflow(name="w_other", steps=[COLOUR])
        assert len(JobCollection.of_workflow(shop.client, other)) == 0

    def test_two_steps_of_one_process_are_told_apart(self, shop):
        [job] = shop.run("captured", items=shop.workshop.items[:1])
        steps = [COLOUR, Step(name="again", template=TrueColorConversion())]
        made = JobCollection.of_workflow(shop.client, Workflow(name=shop.name, steps=steps))
        assert [one.id for one in made] == [job.id]

    def test_of_several_generations_the_one_that_counts(self, shop):
        [failed] = shop.run("rejected", items=shop.workshop.items[:1])
        shop.workshop.later()
        [bought_again] = shop.run("captured", items=shop.workshop.items[:1], generation=2)
        workflow = Workflow(name=shop.name, steps=[COLOUR])
        assert [job.id for job in JobCollection.of_workflow(shop.client, workflow)] == [bought_again.id]
        assert bought_again.id != failed.id


class TestStatus:
    def test_a_line_per_job(self, ended):
        good, bad = ended.status()
        assert (good.status, good.state, good.partition) == ("captured", JobState.SUCCEEDED, PARTITION)
        assert good.step.endswith(".colour")
        assert (bad.status, bad.state, bad.process) == ("released", JobState.FAILED, "true-color-conversion")
        assert good.seconds > 0
        assert "ProcessingFailed" in bad.reason
        assert "raise the generation" in bad.reason

    def test_as_text(self):
        made = {"processID": "p", "status": "running", "definition": {"inputs": {"title": "by hand"}}}
        done = {
            "processID": "process",
            "status": "captured",
            "started": "2026-06-01T12:00:00Z",
            "finished": "2026-06-01T12:01:30Z",
            "creditConsumption": {"credits": 7},
        }
        lines = [JobLine.of(Job.parse({"jobID": "a", **made})), JobLine.of(Job.parse({"jobID": "longer", **done}))]
        heading, first, second = as_text(lines).splitlines()
        assert heading == "job     step     partition  status    credits  seconds  reason"
        assert first == "a       p                   running                     running: it is being computed."
        assert second.startswith("longer  process             captured  7        90       captured: the results")

    def test_a_job_that_never_started_took_no_time(self):
        told = {"jobID": "a", "processID": "p", "status": "rejected", "finished": "2026-06-01T12:00:00Z"}
        assert JobLine.of(Job.parse(told)).seconds is None

    def test_printed(self, ended):
        assert str(ended) == as_text(ended.status())

    def test_parts(self, ended):
        assert [job.status for job in ended.succeeded] == ["captured"]
        assert [job.status for job in ended.failed] == ["released"]

    def test_credits(self, shop):
        jobs = shop.run("captured", "failed", step=TREES)
        assert jobs.credits == 0
        shop.workshop.later()
        assert jobs.refresh().credits == 2


class TestTrack:
    def test_until_all_have_ended(self, shop):
        jobs, told = shop.run("captured", "rejected"), []
        shop.workshop.later()
        tracked = jobs.track(interval_s=0.01, patience_s=5, on_change=lambda job: told.append(job.status))
        assert [job.status for job in tracked] == ["captured", "rejected"]
        assert sorted(told) == ["captured", "rejected"]
        assert [job.status for job in jobs] != [job.status for job in tracked]

    def test_not_for_ever(self, shop):
        with pytest.raises(StillUnderWay):
            shop.run("captured", "captured").track(interval_s=0.01, patience_s=0.02)


class TestApply:
    def test_to_those_with_results(self, ended):
        assert ended.apply(lambda job: job.status) == {ended.jobs[0].id: "captured"}

    def test_to_all(self, ended):
        assert list(ended.apply(lambda job: job.status, only_succeeded=False).values()) == ["captured", "released"]

    def test_one_that_raises_keeps_no_other(self, ended):
        made = ended.apply(lambda job: 1 / job.is_successful, only_succeeded=False)
        assert made[ended.jobs[0].id] == 1
        assert isinstance(made[ended.jobs[1].id], ZeroDivisionError)


class TestResults:
    def test_files_of_all_items(self, ended, tmp_path):
        [(job_id, files)] = ended.download(tmp_path / "new").items()
        assert job_id == ended.jobs[0].id
        assert {path.suffix for path in files} == {".tiff", ".jpg", ".json"}
        assert {path.parent.parent for path in files} == {tmp_path / "new" / job_id}
        with rasterio.open(next(path for path in files if path.suffix == ".tiff")) as image:
            assert (image.count, image.dtypes[0]) == (3, "uint8")
        assert sorted(path for path in (tmp_path / "new").rglob("*") if path.is_file()) == sorted(files)

    def test_two_files_of_one_name_are_both_kept(self, ended, tmp_path):
        [[item]] = ended.items().values()
        item.assets = {key: item.assets[key] for key in list(item.assets)[:1]}
        item.add_asset("other", next(iter(item.assets.values())).clone())
        first, second = fetch_files(item, tmp_path, ended.client.storage.assets.download_url)
        assert second.name == f"other-{first.name}"
        assert first.read_bytes() == second.read_bytes()

    def test_a_missing_collection_keeps_no_other(self, shop, tmp_path):
        jobs = shop.run("lost_result", "successful")
        shop.workshop.later()
        lost, good = jobs.refresh().download(tmp_path, patience_s=0).values()
        assert isinstance(lost, ResultsMissing)
        assert len(good) == 3

    def test_a_file_that_does_not_come_keeps_no_other(self, shop, tmp_path, monkeypatch):
        jobs = shop.run("successful", "successful")
        shop.workshop.later()
        jobs, sign = jobs.refresh(), shop.client.storage.assets.download_url
        [first] = jobs.items()[jobs.jobs[0].id]
        picture = next(asset.href for asset in first.assets.values() if "thumbnail" in asset.roles)

        def refused(href):
            if href == picture:
                raise Unreachable("No way.")
            return sign(href)

        monkeypatch.setattr(shop.client.storage.assets, "download_url", refused)
        bad, good = jobs.download(tmp_path).values()
        assert isinstance(bad, Unreachable)
        assert len(good) == 3
        assert len(list((tmp_path / jobs.jobs[0].id / first.id).glob("[!.]*"))) == 2
        assert list(jobs.quicklooks()) == [one.id for one in jobs.items()[jobs.jobs[1].id]]

    def test_into_a_lake(self, ended, tmp_path):
        lake = Lake(str(tmp_path))
        [[landed]] = ended.land(lake, "colours").values()
        kept = read_item(lake, "colours", landed.item.id)
        assert kept.properties["up42:job_id"] == ended.jobs[0].id
        assert landed.withheld == {}

    def test_pictures(self, ended):
        [picture] = ended.quicklooks().values()
        assert picture.startswith(b"\xff\xd8\xff")

    def test_items_without_a_picture_are_left_out(self, ended, monkeypatch):
        [[item]] = ended.items().values()
        item.assets = {key: asset for key, asset in item.assets.items() if "thumbnail" not in asset.roles}
        monkeypatch.setattr(ended.client.storage, "items_of_collection", lambda _: [item])
        assert ended.quicklooks() == {}

    def test_footprints(self, ended):
        made = json.loads(json.dumps(ended.footprints()))
        good, bad = made["features"]
        [[item]] = ended.items().values()
        assert (made["type"], good["type"], good["id"]) == ("FeatureCollection", "Feature", item.id)
        assert good["geometry"] == item.geometry
        assert good["properties"]["job"] == ended.jobs[0].id
        assert good["properties"]["status"] == "captured"
        assert good["properties"]["collection"] == item.collection_id
        assert (bad["id"], bad["geometry"], bad["properties"]["state"]) == (ended.jobs[1].id, None, "failed")

    def test_footprints_tell_what_is_missing(self, shop):
        jobs = shop.run("lost_result", items=shop.workshop.items[:1])
        shop.workshop.later()
        [feature] = jobs.refresh().footprints()["features"]
        assert feature["geometry"] is None
        assert "not in storage" in feature["properties"]["reason"]
