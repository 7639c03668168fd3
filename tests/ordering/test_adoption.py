"""Orders placed by hand become a pipeline's: at the sandbox, judged by what a run would buy afterwards."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from shapely.geometry import box, mapping, shape

from tests.ordering.faults import AREA
from up42_pipelines.api import Order, OrderInput
from up42_pipelines.errors import ApprovalRequired, OrderContradicted
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.adoption import adopt_order, adopted_tags, chosen_plan, plan_of
from up42_pipelines.ordering.buyer import order_buyer
from up42_pipelines.ordering.keys import OrderTags
from up42_pipelines.ordering.plan import Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, EntryState
from up42_pipelines.purchasing.intents import State
from up42_pipelines.purchasing.protocol import Timing

LARGER = box(-9.15, 38.71, -9.13, 38.72)
PARTITION = "lisbon|2026-05-01"
SOON = Timing(lease_s=2, start_s=1, settling_s=0.5, skew_s=0.1, gap_s=0.05, poll_s=0.05)


@pytest.fixture(scope="module")
def scenes(found):
    return [scene.id for scene in found if shape(scene.geometry).covers(LARGER)]


class Desk:
    """A pipeline of its own with an empty lake, and somebody who orders in the console."""

    def __init__(self, client, product, scene_id, folder) -> None:
        self.client, self.product, self.scene_id = client, product, scene_id
        self.pipeline = f"adopting-{uuid.uuid4().hex[:8]}"
        self.told: list[str] = []
        self.buyer = order_buyer(
            client.orders,
            client.account,
            Lake(str(folder)),
            self.pipeline,
            ceilings=Ceilings(),
            approvals=Approvals(),
            run="run",
            timing=SOON,
            tell=self.told.append,
        )

    def by_hand(self, area=AREA, tags=("mine",), scene_id=None) -> Order:
        feature = {"type": "Feature", "properties": {}, "geometry": mapping(area)}
        wanted = OrderInput(
            data_product=self.product,
            display_name="by hand",
            params={"id": scene_id or self.scene_id},
            feature_collection={"type": "FeatureCollection", "features": [feature]},
            tags=tags,
        )
        [line] = self.client.orders.place(wanted).results
        return self.client.orders.get(line.id)

    def planned(self, area=AREA, generation=1):
        purpose = Purpose(
            workspace_id=self.client.workspace_id,
            pipeline=self.pipeline,
            partition=PARTITION,
            data_product=self.product,
            generation=generation,
        )
        [planned] = plan_order(purpose, self.scene_id, [area])
        return planned

    def adopt(self, order, planned=None, **options):
        planned = planned or self.planned()
        return adopt_order(
            order, planned, buyer=self.buyer, orders=self.client.orders, account=self.client.account, **options
        )

    def run(self, planned=None):
        """What the pipeline's next run does."""
        return self.buyer.buy(OrderPurchase(planned or self.planned(), self.client.orders, self.client.account))


@pytest.fixture
def desk(client, product, scenes, tmp_path):
    return Desk(client, product, scenes[0], tmp_path / "lake")


def test_an_adopted_order_is_the_pipelines_own(desk, slow_sandbox):
    order = desk.by_hand()
    adopted = desk.adopt(order)
    tags = OrderTags.read(adopted.record.tags)
    assert (tags.pipeline, tags.partition, tags.key) == (desk.pipeline, PARTITION, desk.planned().key)
    assert tags.credits == adopted.credits > 0, "what it would cost now"
    assert "mine" in adopted.record.tags
    assert desk.client.orders.get(order.id).tags == adopted.record.tags
    _, intent = desk.buyer.book.read(desk.planned().key)
    assert (intent.state, intent.purchase_ids) == (State.PLACED, (order.id,))
    entry = desk.buyer.ledger.sheet().entries[desk.planned().key]
    assert (entry.state, entry.credits, entry.purchase_ids) == (EntryState.SPENT, adopted.credits, (order.id,))
    assert entry.run == "", "no run of ours has spent it"
    before = len(slow_sandbox.ledger())
    bought = desk.run()
    assert (bought.id, bought.adopted) == (order.id, True)
    assert len(slow_sandbox.ledger()) == before


def test_it_is_found_without_the_lake(desk, client, product, tmp_path):
    order = desk.by_hand()
    desk.adopt(order)
    elsewhere = Desk(client, product, desk.scene_id, tmp_path / "another lake")
    elsewhere.pipeline = desk.pipeline
    assert elsewhere.run().id == order.id


def test_doing_it_again_repairs_the_tags(desk):
    order = desk.by_hand()
    first = desk.adopt(order, credits=12)
    desk.client.orders.update(order.id, tags=["mine"])
    again = desk.adopt(desk.client.orders.get(order.id), credits=12)
    assert set(again.record.tags) == set(first.record.tags)
    assert desk.buyer.ledger.sheet().committed() == 12


def test_the_price_that_its_tags_tell_stays(desk):
    order = desk.by_hand()
    desk.adopt(order, credits=12)
    assert desk.adopt(desk.client.orders.get(order.id)).credits == 12


def test_what_waited_for_approval_and_was_bought_by_hand(desk):
    desk.buyer.approvals = Approvals(above=0)
    with pytest.raises(ApprovalRequired):
        desk.run()
    order = desk.by_hand()
    assert desk.adopt(order).id == order.id
    assert desk.run().id == order.id


def test_what_the_pipeline_has_bought_itself_is_not_bought_by_hand_as_well(desk):
    own = desk.run()
    order = desk.by_hand()
    with pytest.raises(OrderContradicted, match=own.id):
        desk.adopt(order)
    assert desk.client.orders.get(order.id).tags == ("mine",)
    as_second = desk.planned(generation=2)
    assert desk.adopt(order, as_second).id == order.id


def test_what_it_has_bought_and_the_lake_has_lost(desk, client, product, tmp_path):
    own = desk.run()
    forgetful = Desk(client, product, desk.scene_id, tmp_path / "another lake")
    forgetful.pipeline = desk.pipeline
    order = forgetful.by_hand()
    with pytest.raises(OrderContradicted, match=own.id):
        forgetful.adopt(order)
    assert forgetful.run().id == own.id


@pytest.mark.parametrize(
    "left",
    [{"state": State.PLACING}, {"state": State.UNCLEAR}, {"state": State.CLAIMED, "settled_from": datetime.now(UTC)}],
    ids=["placing", "unclear", "claimed in doubt"],
)
def test_what_the_pipeline_may_have_bought_is_found_out_first(desk, left):
    desk.buyer.approvals = Approvals(above=0)
    with pytest.raises(ApprovalRequired):
        desk.run()
    number, intent = desk.buyer.book.read(desk.planned().key)
    assert desk.buyer.book.write(number, intent.next(**left))
    with pytest.raises(OrderContradicted, match="--reclaim"):
        desk.adopt(desk.by_hand())


def test_a_cancelled_order_is_nothing_to_adopt(desk):
    order = desk.by_hand()
    desk.client.orders.cancel(order.id)
    with pytest.raises(OrderContradicted, match="CANCELED"):
        desk.adopt(desk.client.orders.get(order.id))


def test_an_order_of_another_partition_is_left_to_it(desk):
    order = desk.by_hand(tags=("pipeline:radar", "mine"))
    with pytest.raises(OrderContradicted, match='--remove "pipeline:radar"'):
        desk.adopt(order)
    assert desk.buyer.book.read(desk.planned().key) == (0, None)


class TestTags:
    """Pure."""

    def order(self, tags):
        return Order(id="o1", status="PLACED", tags=tags)

    def test_ours_come_beside_theirs(self, desk):
        tags = adopted_tags(self.order(["x", "credits-ish"]), desk.planned(), 7)
        assert tags[:2] == ("x", "credits-ish")
        assert OrderTags.read(tags).credits == 7

    def test_thirty_are_the_most(self, desk):
        most = [f"tag {number}" for number in range(26)]
        assert len(adopted_tags(self.order(most), desk.planned(), 7)) == 30
        with pytest.raises(OrderContradicted, match="Remove 1, "):
            adopted_tags(self.order([*most, "tag 26"]), desk.planned(), 7)
        with pytest.raises(OrderContradicted, match=r'Remove 2.*--remove "tag 26" --remove "tag 27"'):
            adopted_tags(self.order([*most, "tag 26", "tag 27"]), desk.planned(), 7)

    def test_those_that_are_there_count_once(self, desk):
        mine = desk.planned().request(7).tags
        most = [f"tag {number}" for number in range(26)]
        assert set(adopted_tags(self.order([*mine, *most]), desk.planned(), 7)) == {*mine, *most}


class TestChoosingThePlan:
    def test_the_one_of_the_same_scene_and_area(self, desk, scenes):
        order = desk.by_hand()
        others = [desk.planned(LARGER), replace(desk.planned(), scene_id=scenes[1])]
        assert chosen_plan(order, [*others, desk.planned()]) == desk.planned()

    def test_another_scene_is_refused(self, desk, scenes):
        order = desk.by_hand(scene_id=scenes[1])
        with pytest.raises(OrderContradicted, match=f"scene {scenes[1]} instead of {scenes[0]}"):
            chosen_plan(order, [desk.planned()], any_area=True)

    def test_another_area_only_when_that_is_wanted(self, desk):
        order = desk.by_hand(LARGER)
        with pytest.raises(OrderContradicted, match="--any-area"):
            chosen_plan(order, [desk.planned()])
        planned = chosen_plan(order, [desk.planned()], any_area=True)
        assert desk.adopt(order, planned).id == order.id
        assert desk.run().id == order.id

    def test_nothing_is_planned(self, desk):
        with pytest.raises(OrderContradicted, match="nothing is planned"):
            chosen_plan(desk.by_hand(), [])


class TestThePlanOfAnOrder:
    def test_it_has_the_key_that_the_pipeline_would_give_it(self, desk):
        assert plan_of(desk.by_hand(), desk.planned().purpose).key == desk.planned().key

    def test_the_pipelines_parameters_are_part_of_it(self, desk):
        [planned] = plan_order(desk.planned().purpose, desk.scene_id, [AREA], {"bands": 4})
        assert plan_of(desk.by_hand(), desk.planned().purpose, {"bands": 4}).key == planned.key

    def test_a_full_scene_has_no_area(self, desk):
        [planned] = plan_order(desk.planned().purpose, desk.scene_id, None)
        assert plan_of(desk.by_hand(), planned.purpose, is_clipped=False).key == planned.key

    @pytest.mark.parametrize(
        "told", [{"data_product_id": "p"}, {"order_details": {"imageId": "s"}}], ids=["no scene", "no data product"]
    )
    def test_an_order_that_does_not_tell_what_it_is(self, desk, told):
        with pytest.raises(OrderContradicted, match="TASKING"):
            plan_of(Order(id="o1", status="CREATED", type="TASKING", **told), desk.planned().purpose)
