"""What all records share: unknown things are kept, broken promises explained, and `repr` helps."""

import pickle
import time
from datetime import UTC, datetime

import pytest

from up42_pipelines.api import (
    BudgetUsage,
    Collection,
    Estimate,
    FeasibilityStudy,
    Job,
    Order,
    OrderStatus,
    Placement,
    Scene,
    StoredAsset,
    Webhook,
)
from up42_pipelines.errors import UnexpectedAnswer


def order_body(**changes):
    return {
        "id": "o-1",
        "workspaceId": "w",
        "displayName": "harbour watch",
        "status": "PLACED",
        "tags": ["dagster"],
        "orderDetails": {"aoi": {"type": "Point", "coordinates": [1, 2]}, "imageId": "SCENE_1"},
        "createdAt": "2026-01-02T03:00:00.000001Z",
        "updatedAt": "2026-01-02T03:10:00Z",
        **changes,
    }


class TestTolerance:
    def test_unknown_fields_are_kept(self):
        body = order_body(newThing={"deep": [1]})
        order = Order.parse(body)
        assert order.raw == body
        assert order.model_extra == {"newThing": {"deep": [1]}}

    def test_also_those_of_records_inside_records(self):
        provider = {"name": "h", "roles": ["HOST"], "title": None, "country": "FR"}
        collection = Collection.parse({"name": "phr", "providers": [provider], "rank": 1})
        assert collection.providers[0].model_extra == {"country": "FR"}
        assert collection.providers[0].raw == provider
        assert collection.model_extra == {"rank": 1}

    def test_known_statuses_are_members_of_the_enum(self):
        for status in OrderStatus:
            assert Order.parse(order_body(status=status.value)).status is status

    def test_null_where_something_is_promised_is_nothing(self):
        collection = Collection.parse({"name": "c", "integrations": None, "dataProducts": None, "type": None})
        assert (collection.integrations, collection.data_products, collection.type) == ((), (), None)

    def test_names_are_camel_case_on_the_wire(self):
        order = Order.parse(order_body())
        assert (order.workspace_id, order.display_name) == ("w", "harbour watch")

    def test_records_cannot_be_changed(self):
        with pytest.raises(ValueError, match="frozen"):
            Order.parse(order_body()).status = "FULFILLED"

    def test_records_can_be_compared_copied_and_sent_to_other_processes(self):
        order = Order.parse(order_body(newThing=1))
        assert order == Order.parse(order_body(newThing=1))
        assert order != Order.parse(order_body(newThing=2))
        for copy in (pickle.loads(pickle.dumps(order)), order.model_copy(deep=True)):
            assert copy == order
            assert copy.raw == order.raw
            assert copy.status is OrderStatus.PLACED

    def test_records_can_be_made_by_hand(self):
        order = Order(id="o", status=OrderStatus.CREATED, display_name="n")
        assert order.raw == {}
        assert order == Order.model_validate_json(order.model_dump_json(by_alias=True))
        assert order.model_dump(by_alias=True, exclude_none=True) == {
            "id": "o",
            "status": "CREATED",
            "displayName": "n",
        }


class TestTimes:
    @pytest.mark.parametrize(
        ("sent", "meant"),
        [
            ("2026-01-02T03:00:00.000001Z", "2026-01-02T03:00:00.000001+00:00"),
            ("2026-01-02T03:00:00+05:45", "2026-01-01T21:15:00+00:00"),
            ("2026-01-02T03:00:00", "2026-01-02T03:00:00+00:00"),
            ("2026-01-02T03:00:00.123456789Z", "2026-01-02T03:00:00.123456+00:00"),
            ("2026-01-02", "2026-01-02T00:00:00+00:00"),
        ],
    )
    def test_are_in_utc(self, sent, meant):
        assert Order.parse(order_body(createdAt=sent)).created_at.isoformat() == meant

    @pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Anchorage"])
    def test_wherever_this_machine_is(self, monkeypatch, zone):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            created = Order.parse(order_body(createdAt="2026-01-02T03:00:00")).created_at
        time.tzset()
        assert created.isoformat() == "2026-01-02T03:00:00+00:00"

    @pytest.mark.parametrize("sent", ["yesterday", "2026-13-01T00:00:00Z", {}, "0001-01-01T00:00:00+05:00"])
    def test_that_are_none_are_named(self, sent):
        with pytest.raises(UnexpectedAnswer, match="Order that cannot be read: createdAt: "):
            Order.parse(order_body(createdAt=sent))


class TestBrokenPromises:
    @pytest.mark.parametrize(
        ("record", "body", "told"),
        [
            (Order, {"status": "PLACED"}, ["Order", "id: Field required"]),
            (Order, order_body(id=None), ["Order", "id: "]),
            (Order, order_body(tags="a,b"), ["Order", "tags: "]),
            (Collection, {"title": "x"}, ["Collection", "name: Field required"]),
            (Collection, {"name": "c", "providers": [{"name": "a"}, {}]}, ["Collection", "providers.1.name: "]),
            (Placement, {"results": [{"index": 0}]}, ["Placement", "results.0.id: Field required"]),
            (Estimate, {"results": [{"index": 0, "credits": "many"}]}, ["Estimate", "results.0.credits: "]),
            (StoredAsset, {"orderId": "o"}, ["StoredAsset", "id: Field required"]),
            (Order, [], ["Order"]),
            (Order, None, ["Order"]),
            (Order, "text", ["Order"]),
        ],
    )
    def test_name_record_field_and_body(self, record, body, told):
        with pytest.raises(UnexpectedAnswer) as caught:
            record.parse(body)
        assert all(fact in str(caught.value) for fact in told)
        assert f"Body: {body!r}"[:200] in str(caught.value)

    def test_a_large_body_is_cut(self):
        with pytest.raises(UnexpectedAnswer) as caught:
            Order.parse({"status": "PLACED", "noise": "x" * 10_000})
        assert len(str(caught.value)) < 1000

    def test_a_secret_is_in_no_message(self):
        with pytest.raises(UnexpectedAnswer) as caught:
            Webhook.parse({"secret": "geheim", "url": "https://receiver.example.com"})
        assert "receiver.example.com" in str(caught.value)
        assert "geheim" not in f"{caught.value} {caught.value.__cause__}"
        with pytest.raises(UnexpectedAnswer) as caught:
            Webhook.parse({"secret": ["geheim"], "id": "1", "url": "https://receiver.example.com"})
        assert "geheim" not in f"{caught.value} {caught.value.__cause__}"


class TestRepr:
    def test_shows_what_is_known_as_it_is_written(self):
        order = Order.parse(order_body(newThing=1))
        assert repr(order) == (
            "Order(id='o-1', status='PLACED', workspace_id='w', display_name='harbour watch', tags=('dagster',), "
            "order_details={'aoi': {'type': 'Point', 'coordinates': [1, 2]}, 'imageId': 'SCENE_1'}, "
            "created_at=2026-01-02T03:00:00.000001+00:00, updated_at=2026-01-02T03:10:00+00:00)"
        )

    def test_leaves_out_what_says_nothing(self):
        assert repr(Order.parse({"id": "o", "status": "NEW", "tags": [], "orderDetails": {}})) == (
            "Order(id='o', status='NEW')"
        )
        assert repr(BudgetUsage.parse({"budgetId": "b", "consumedCredits": 0})) == (
            "BudgetUsage(budget_id='b', consumed_credits=0.0)"
        )

    def test_cuts_what_is_long(self):
        shown = repr(Order.parse(order_body(displayName="x" * 10_000, orderDetails={"aoi": list(range(1000))})))
        assert len(shown) < 400
        assert "…" in shown
        assert "updated_at=" in shown

    def test_names_fields_as_the_record_does(self):
        scene = Scene.parse({"id": "s", "geometry": {"type": "Point"}, "datetime": datetime(2026, 1, 1, tzinfo=UTC)})
        assert repr(scene) == "Scene(id='s', geometry={'type': 'Point'}, datetime=2026-01-01T00:00:00+00:00)"

    def test_of_records_inside_records(self):
        study = FeasibilityStudy.parse({"id": "s", "orderId": "o", "options": [{"id": "opt"}]})
        assert "options=(StudyOption(id='opt'),)" in repr(study)
        assert "decision='NOT_DECIDED'" in repr(study)
        assert "status='captured'" in repr(Job.parse({"jobID": "j", "processID": "p", "status": "captured"}))

    def test_secrets_are_not_shown(self):
        webhook = Webhook.parse({"id": "1", "url": "https://receiver.example.com", "secret": "geheim"})
        assert "geheim" not in f"{webhook!r} {webhook} {[webhook]}"
        assert webhook.raw["secret"] == "geheim"
