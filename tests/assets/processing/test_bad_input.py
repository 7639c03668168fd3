"""Bad input: a clear failure on the right asset with the remedy, nothing bought twice, and the rest goes on."""

import pytest

from up42_pipelines.lake import DeliveryRules, LandingOptions
from up42_pipelines.processing.items import up42_href
from up42_pipelines.processing.templates import (
    AnyProcess,
    DetectionBuildingsSpacept,
    DetectionChangeSimularity,
    GreyWeight,
    Pansharpening,
    TrueColorConversion,
)
from up42_pipelines.processing.workflow import Step
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings

BEFORE, DAY = "rome|2026-06-03", "rome|2026-06-04"
PANSHARPEN = Step(name="pansharpen", template=Pansharpening())


@pytest.fixture(scope="module")
def delivered(works):
    """Items at UP42: two with everything, one without a panchromatic image."""
    bundle, other_bundle, analytic = works.deliver("bundle", "bundle", "analytic")
    return {"bundle": bundle, "other_bundle": other_bundle, "analytic": analytic}


def names(work):
    """The items that the workflow's jobs work on, as UP42 has them."""
    jobs = [work.works.client.processing.job(one["id"]) for one in work.jobs()]
    return [job.inputs["item"].rsplit("/", 1)[1] for job in jobs]


def eula_of(works, process_id):
    return works.client.processing.process(process_id).eula_id


def test_an_item_without_the_band_is_refused_and_the_others_are_processed(
    works, delivered, explain, check, shown_by_failure
):
    good, bad = delivered["bundle"], delivered["analytic"]
    work = works.workflow(PANSHARPEN, source=works.offer(june_4=[bad, good]))
    for _ in range(2):
        result = work.start(DAY)
        said = explain(result, work.op("pansharpen", "processing_jobs"))
        assert "1 of 2 jobs were not bought" in said
        assert f"- {bad.id}: " in said
        assert "MissingPanchromaticAsset" in said
        assert "it buys what is missing, and nothing twice" in said
        assert names(work) == [good.id]
    assert check(result, "spend_within_ceilings")[0]
    refused, existing = shown_by_failure(result, work.op("pansharpen", "processing_jobs"))["table"]
    assert (refused["items"], refused["what"]) == (bad.id, "refused")
    assert (existing["items"], existing["what"]) == (good.id, "existed")
    works.advance()
    assert work.tick().run_requests[0].job_name == work.pipeline.collect_job("pansharpen")
    assert work.collect("pansharpen", DAY).success
    assert len(work.items("pansharpen", DAY)) == 1


def test_weights_of_a_band_that_the_item_does_not_have_are_named(works, delivered, explain):
    template = Pansharpening(grey_weights=(GreyWeight(band="infrared-of-old", weight=1),))
    work = works.workflow(Step(name="pansharpen", template=template), source=works.offer(june_4=[delivered["bundle"]]))
    said = explain(work.start(DAY), work.op("pansharpen", "processing_jobs"))
    assert "the item has no band 'infrared-of-old'" in said
    assert work.jobs() == []


def test_a_eula_that_is_not_accepted_is_named_and_nothing_is_bought_before_it_is(works, delivered, explain):
    work = works.workflow(PANSHARPEN, source=works.offer(june_4=[delivered["bundle"]]))
    eula_id = eula_of(works, "pansharpening")
    works.control("access", eulas={eula_id: False})
    try:
        said = explain(work.start(DAY), work.op("pansharpen", "processing_jobs"))
    finally:
        works.control("access", eulas={eula_id: True})
    assert eula_id in said
    assert "in the UP42 console" in said
    assert work.jobs() == []
    assert work.start(DAY).success
    assert len(work.jobs()) == 1


def test_an_unknown_process_is_named(works, delivered, explain):
    step = Step(name="magic", template=AnyProcess(process_id="no-such-process"))
    work = works.workflow(step, source=works.offer(june_4=[delivered["bundle"]]))
    said = explain(work.start(DAY), work.op("magic", "processing_jobs"))
    assert "no process no-such-process" in said
    assert work.jobs() == []


def test_an_item_deleted_meanwhile_is_refused_and_the_others_are_processed(works, delivered, explain):
    [deleted] = works.deliver("bundle")
    works.client.storage.delete_items([deleted.id])
    work = works.workflow(PANSHARPEN, source=works.offer(june_4=[deleted, delivered["bundle"]]))
    said = explain(work.start(DAY), work.op("pansharpen", "processing_jobs"))
    assert f"- {deleted.id}: " in said
    assert "ItemNotFound" in said
    assert names(work) == [delivered["bundle"].id]


def test_a_balance_that_is_too_low_refuses_and_once_there_is_credit_the_job_is_bought(works, delivered, explain):
    work = works.workflow(PANSHARPEN, source=works.offer(june_4=[delivered["bundle"]]))
    balance = works.control("access", "GET")["credits"]["balance"]
    works.control("access", credits=-balance)
    try:
        said = explain(work.start(DAY), work.op("pansharpen", "processing_jobs"))
    finally:
        works.control("access", credits=balance)
    assert "the account has 0" in said
    assert "Buy credits in the UP42 console" in said
    assert work.jobs() == []
    assert work.start(DAY).success
    assert len(work.jobs()) == 1


def test_a_ceiling_of_the_workflow_refuses_what_exceeds_it(works, delivered, explain, check):
    source = works.offer(june_4=[delivered["bundle"], delivered["other_bundle"]])
    price = 4  # credits, of either item
    work = works.workflow(PANSHARPEN, source=source, ceilings=Ceilings(order=1000, partition=2 * price - 1))
    result = work.start(DAY)
    assert "1 of 2 jobs were not bought" in explain(result, work.op("pansharpen", "processing_jobs"))
    passed, shown = check(result, "spend_within_ceilings")
    assert not passed
    assert (shown["ceilings_that_refused"], shown["credits_committed_partition"]) == ("partition", price)
    assert [job["credits"] for job in work.jobs()] == [price]


def test_a_job_that_waits_for_approval_is_bought_once_it_is_approved(works, delivered, explain, shown):
    source = works.offer(june_4=[delivered["bundle"]])
    work = works.workflow(PANSHARPEN, source=source, approvals=Approvals(above=1))
    op = work.op("pansharpen", "processing_jobs")
    said = explain(work.start(DAY), op)
    assert f"launch {work.pipeline.approve_job} for {DAY} with approve_up_to and approved_by" in said
    assert work.jobs() == []
    assert "say who approves" in explain(work.approve(DAY, approve_up_to=100.0, approved_by=" "), op)
    assert "not bought" in explain(work.approve(DAY, approve_up_to=1.0, approved_by="ada"), op)
    assert work.jobs() == []
    assert work.approve(DAY, approve_up_to=100.0, approved_by="ada").success
    assert work.start(DAY).success
    assert len(work.jobs()) == 1
    assert shown(work.metadata("pansharpen", "processing_jobs", DAY))["jobs_bought_now"] == 0


def test_approving_leaves_steps_alone_that_have_nothing_to_work_on_yet(works, delivered):
    later = Step(name="true_color", template=TrueColorConversion(), of="pansharpen")
    work = works.workflow(PANSHARPEN, later, source=works.offer(june_4=[delivered["bundle"]]))
    assert work.approve(DAY, approve_up_to=100.0, approved_by="ada").success
    assert not work.is_materialized("true_color", "processing_jobs", DAY)
    assert [job["processId"] for job in work.jobs()] == ["pansharpening"]


def test_before_anything_has_landed_the_step_skips(works):
    work = works.workflow(PANSHARPEN, source=works.offer())
    assert work.start(DAY).success
    assert not work.is_materialized("pansharpen", "processing_jobs", DAY)
    assert work.jobs() == []


def test_a_partition_without_items_has_no_jobs_and_is_complete(works):
    work = works.workflow(PANSHARPEN, source=works.offer(june_4=[]))
    assert work.start(DAY).success
    assert work.collect("pansharpen", DAY).success
    assert work.is_materialized("pansharpen", "processed_cogs", DAY)
    assert work.jobs() == []


@pytest.mark.parametrize("earlier", [{}, {"june_3": []}], ids=["nothing there", "no items there"])
def test_without_a_reference_nothing_is_bought_until_there_is_one(works, delivered, earlier):
    step = Step(name="change", template=DetectionChangeSimularity(), reference_days=1)
    source = works.offer(june_4=[delivered["bundle"]], **earlier)
    work = works.workflow(step, source=source)
    assert work.start(DAY).success
    assert not work.is_materialized("change", "processing_jobs", DAY)
    assert work.jobs() == []
    again = works.offer(june_4=[delivered["bundle"]], june_3=[delivered["other_bundle"]])
    work = works.workflow(step, source=again)
    assert work.start(DAY).success
    [job] = work.jobs()
    inputs = works.client.processing.job(job["id"]).inputs
    assert inputs["sourceItem"] == up42_href(delivered["bundle"])
    assert inputs["referenceItem"] == up42_href(delivered["other_bundle"])


def test_a_reference_that_comes_later_compares_nothing_twice(works, delivered):
    step = Step(name="change", template=DetectionChangeSimularity(), reference_days=1)
    item, first, [later] = delivered["bundle"], delivered["other_bundle"], works.deliver("bundle")
    source = works.offer(june_4=[item], june_3=[first])
    work = works.workflow(step, source=source)
    assert work.start(DAY).success
    bought = [job["id"] for job in work.jobs()]
    assert len(bought) == 1
    day_before = ("assets", *source.key("cogs").path, "rome", "2026-06-03.json")
    document = works.lake.read_json(*day_before)
    document["features"] = [later.to_dict(transform_hrefs=False)]
    works.lake.write_json(document, *day_before)
    works.control("faults", faults=[{"kind": "list_lag", "seconds": 3600, "times": None}])
    try:
        assert work.start(DAY).success  # also when UP42 does not list the job yet
    finally:
        works.control("faults", "DELETE")
    assert work.start(DAY).success
    assert [job["id"] for job in work.jobs()] == bought
    assert work.start(DAY, generation=2).success
    assert len(work.jobs()) == 2


def test_the_first_day_has_no_reference_and_skips(works, delivered):
    step = Step(name="change", template=DetectionChangeSimularity(), reference_days=1)
    work = works.workflow(step, source=works.offer(june_1=[delivered["bundle"]]))
    assert work.start("rome|2026-06-01").success
    assert work.jobs() == []


def test_items_that_no_job_can_work_on_fail_the_step_without_a_word_to_up42(works, delivered, explain, sent):
    features = delivered["bundle"].clone()
    for asset in features.assets.values():
        asset.media_type, asset.roles = "application/vnd.apache.parquet", ["data"]
    step = Step(name="buildings", template=DetectionBuildingsSpacept())
    work = works.workflow(step, source=works.offer(june_4=[features]))
    said = explain(work.start(DAY), work.op("buildings", "processing_jobs"))
    assert "works on none of the 1 items" in said
    assert f"- {features.id}: It holds features and no pixels" in said
    assert not [target for method, target in sent if "processing/processes" in target]


def test_a_job_that_fails_or_loses_its_results_does_not_keep_back_those_of_the_others(works, delivered, check, shown):
    items = [delivered["bundle"], delivered["other_bundle"], delivered["analytic"]]
    works.fates("failed", "lost_result", "successful")
    step = Step(name="buildings", template=DetectionBuildingsSpacept())
    work = works.workflow(step, source=works.offer(june_4=items))
    assert work.start(DAY).success
    works.advance()
    result = work.collect("buildings", DAY)
    assert result.success
    failed, lost, made = (job["id"] for job in work.jobs())
    passed, told = check(result, "no_job_failed")
    assert not passed
    assert set(told["failed_jobs"]) == {failed, lost}
    assert [item.properties["up42:job_id"] for item in work.items("buildings", DAY)] == [made]
    metadata = shown(work.metadata("buildings", "processed_items", DAY))
    assert (metadata["jobs_succeeded"], metadata["jobs_failed"], metadata["items"]) == (1, 2, 1)


def test_while_one_job_goes_on_the_results_of_the_others_land(works, delivered, shown):
    works.fates("running", "successful")
    step = Step(name="buildings", template=DetectionBuildingsSpacept())
    work = works.workflow(step, source=works.offer(june_4=[delivered["bundle"], delivered["other_bundle"]]))
    assert work.start(DAY).success
    works.advance()
    assert work.collect("buildings", DAY).success
    assert len(work.items("buildings", DAY)) == 1
    assert shown(work.metadata("buildings", "processed_items", DAY))["jobs_open"] == 1


def test_a_result_that_fails_a_check_is_withheld_and_not_worked_on(works, delivered, explain, check):
    later = Step(name="true_color", template=TrueColorConversion(), of="pansharpen")
    landing = LandingOptions(rules=DeliveryRules(bands=17))
    work = works.workflow(PANSHARPEN, later, source=works.offer(june_4=[delivered["bundle"]]), landing=landing)
    assert work.start(DAY).success
    works.advance()
    result = work.collect("pansharpen", DAY)
    said = explain(result, work.op("pansharpen", "processed_cogs"))
    assert "Every item fails a check and is withheld" in said
    assert not check(result, "bands_as_ordered")[0]
    assert not work.is_materialized("pansharpen", "processed_cogs", DAY)
    assert [job["processId"] for job in work.jobs()] == ["pansharpening"]
