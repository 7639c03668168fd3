"""How far a delivery has come, case by case."""

import uuid
from datetime import UTC, datetime, timedelta

import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.api.orders import Order
from up42_pipelines.ordering.delivery import Delivery, DeliveryState, delivery_of, digest

WAITING, PARTIAL, COMPLETE, FAILED = DeliveryState
NOW = datetime(2026, 5, 2, tzinfo=UTC)
DONE, LOST, BUSY, UNTOUCHED, UNSAID = "SUCCESSFUL", "FAILED", "IN_PROGRESS", "NOT_PROCESSED", None


def item(name, *, of="") -> pystac.Item:
    """An item made of the asset of that name; by default of the one that is called like it in upper case."""
    asset = of or name.upper()
    return pystac.Item(name, None, None, datetime(2026, 5, 1, tzinfo=UTC), {"up42-system:asset_id": asset})


def judged(status, assets, items) -> Delivery:
    stored = None
    if assets is not None:
        stored = [StoredAsset(id=name, geospatial_metadata_extraction_status=how) for name, how in assets.items()]
    found = [one if hasattr(one, "id") else item(one) for one in items]
    return delivery_of(Order(id="o", status=status), stored, found, now=NOW)


@pytest.mark.parametrize(
    ("status", "assets", "items", "state"),
    [
        # on its way
        ("CREATED", {}, [], WAITING),
        ("PLACED", {}, [], WAITING),
        ("PLACEMENT_FAILED", {}, [], WAITING),
        ("BEING_FULFILLED", {}, [], WAITING),
        ("BEING_FULFILLED", {"A": BUSY}, [], WAITING),
        ("BEING_FULFILLED", {"A": LOST}, [], PARTIAL),
        ("BEING_FULFILLED", {"A": DONE}, ["a"], PARTIAL),
        ("BEING_FULFILLED", {}, ["a"], PARTIAL),
        ("DOWNLOADED", {"A": DONE}, ["a"], PARTIAL),
        ("A_NEW_STATUS", {}, [], WAITING),
        ("A_NEW_STATUS", {"A": DONE}, ["a"], PARTIAL),
        # fulfilled, the transformation not
        ("FULFILLED", {}, [], WAITING),
        ("FULFILLED", {"A": BUSY}, [], WAITING),
        ("FULFILLED", {"A": UNTOUCHED}, [], WAITING),
        ("FULFILLED", {"A": UNSAID}, [], WAITING),
        ("FULFILLED", {"A": DONE}, [], WAITING),
        ("FULFILLED", {"A": LOST, "B": BUSY}, [], PARTIAL),
        ("FULFILLED", {"A": DONE, "B": BUSY}, ["a"], PARTIAL),
        ("FULFILLED", {"A": DONE, "B": DONE}, ["a"], PARTIAL),
        ("FULFILLED", {"A": DONE}, [item("a", of="B")], PARTIAL),
        ("FULFILLED", {}, ["a"], PARTIAL),
        ("FULFILLED", None, ["a"], PARTIAL),
        ("FULFILLED", None, [], WAITING),
        # everything is there
        ("FULFILLED", {"A": DONE}, ["a"], COMPLETE),
        ("FULFILLED", {"A": DONE, "B": DONE}, ["b", "a"], COMPLETE),
        ("FULFILLED", {"A": DONE}, [item("a1", of="A"), item("a2", of="A")], COMPLETE),
        ("FULFILLED", {"A": DONE, "B": LOST}, ["a"], COMPLETE),
        ("FULFILLED", {"A": BUSY}, ["a"], COMPLETE),
        ("FULFILLED", {"A": LOST}, ["a"], COMPLETE),
        ("FULFILLED", {"A": LOST}, [], COMPLETE),
        ("FULFILLED", {"A": LOST, "B": LOST}, [], COMPLETE),
        # nothing (more) will come
        ("FAILED", {}, [], FAILED),
        ("FAILED_PERMANENTLY", {"A": BUSY}, [], FAILED),
        ("CANCELED", {}, [], FAILED),
        ("CANCELED", None, ["a"], FAILED),
        ("FAILED_PERMANENTLY", {"A": DONE}, ["a"], FAILED),
    ],
)
def test_state(status, assets, items, state):
    delivery = judged(status, assets, items)
    assert delivery.state is state
    expected = {one if isinstance(one, str) else one.id for one in items}
    assert {one.id for one in delivery.items} == expected


@pytest.mark.parametrize(
    ("status", "assets", "items", "archives"),
    [
        ("FULFILLED", {"B": LOST, "A": LOST, "C": DONE}, ["c"], ["A", "B"]),
        ("BEING_FULFILLED", {"A": LOST, "B": BUSY}, [], ["A"]),
        ("FULFILLED", {"A": LOST}, ["a"], []),  # UP42 says that it failed, and yet there is an item
        ("FULFILLED", {"A": BUSY, "B": UNTOUCHED, "C": UNSAID}, [], []),
        ("CANCELED", {"A": LOST}, [], ["A"]),
    ],
)
def test_what_up42_could_not_transform_is_fetched_as_an_archive(status, assets, items, archives):
    assert [asset.id for asset in judged(status, assets, items).archives] == archives


@pytest.mark.parametrize("how", [BUSY, UNTOUCHED, UNSAID, DONE, "A_NEW_STATUS"])
@pytest.mark.parametrize("dated", ["created_at", "updated_at"])
def test_a_transformation_that_takes_too_long_is_given_up(how, dated):
    order, patience = Order(id="o", status="FULFILLED"), timedelta(hours=3)
    stored = [StoredAsset(id="A", geospatial_metadata_extraction_status=how, **{dated: NOW - patience})]
    on_time = delivery_of(order, stored, [], now=NOW, patience=patience)
    assert (on_time.state, on_time.archives) == (WAITING, ())
    late = delivery_of(order, stored, [], now=NOW + timedelta(seconds=1), patience=patience)
    assert (late.state, [asset.id for asset in late.archives]) == (COMPLETE, ["A"])
    assert late.fingerprint != on_time.fingerprint
    described = delivery_of(order, stored, [item("a")], now=NOW + timedelta(days=9), patience=patience)
    assert described.archives == ()


def test_an_asset_changed_last_is_waited_for_from_then():
    order, patience = Order(id="o", status="FULFILLED"), timedelta(hours=3)
    asset = StoredAsset(id="A", created_at=NOW - timedelta(hours=9), updated_at=NOW - timedelta(hours=1))
    assert delivery_of(order, [asset], [], now=NOW, patience=patience).archives == ()


def test_an_undated_asset_is_waited_for_for_ever():
    asset = StoredAsset(id="A", geospatial_metadata_extraction_status=BUSY)
    assert delivery_of(Order(id="o", status="FULFILLED"), [asset], [], now=NOW).archives == ()


@pytest.mark.parametrize(
    ("status", "state"), [("FULFILLED", COMPLETE), ("BEING_FULFILLED", PARTIAL), ("CANCELED", FAILED)]
)
def test_what_was_unpacked_stays_an_archive_also_when_its_items_come(status, state):
    order = Order(id="o", status=status)
    stored = [StoredAsset(id=name, geospatial_metadata_extraction_status=DONE) for name in "AB"]
    found = [item("a"), item("a2", of="A"), item("b")]
    delivery = delivery_of(order, stored, found, now=NOW, unpacked={"A", "of another order"})
    assert delivery.state is state
    assert [one.id for one in delivery.items] == ["b"]
    assert [asset.id for asset in delivery.archives] == ["A"]
    assert delivery_of(order, stored, found[2:], now=NOW, unpacked={"A"}).fingerprint == delivery.fingerprint


def test_what_was_unpacked_can_only_be_fetched_again_where_up42_lists_it():
    delivery = delivery_of(Order(id="o", status="FULFILLED"), None, [item("a")], now=NOW, unpacked={"A"})
    assert [one.id for one in delivery.items] == ["a"]


def test_items_are_sorted_by_id():
    assert [one.id for one in judged("FULFILLED", {}, ["c", "a", "b"]).items] == ["a", "b", "c"]


def test_any_iterable_of_items_will_do():
    order = Order(id="o", status="FULFILLED")
    stored = [StoredAsset(id=name, geospatial_metadata_extraction_status=DONE) for name in "AB"]
    assert delivery_of(order, stored, (item(name) for name in "ba"), now=NOW).state is COMPLETE


@pytest.mark.parametrize(
    ("status", "assets", "items", "told"),
    [
        ("CANCELED", {}, [], ["CANCELED"]),
        ("BEING_FULFILLED", {"A": BUSY}, [], ["BEING_FULFILLED", "1 asset(s) in storage", "no STAC item yet"]),
        ("FULFILLED", {"A": DONE, "B": BUSY, "C": LOST}, ["a"], ["1 item(s)", "FULFILLED", "1 asset(s) in transfo"]),
        ("FULFILLED", {"A": LOST}, [], ["Everything", "1 archive(s)", "no item"]),
        ("FULFILLED", {"A": DONE}, ["a"], ["Everything"]),
        ("FULFILLED", None, ["a"], ["1 item(s)", "no list of its assets"]),
    ],
)
def test_reason_is_a_sentence_with_the_facts(status, assets, items, told):
    reason = judged(status, assets, items).reason
    assert reason.endswith(".")
    assert all(fact in reason for fact in told)


NAMES = [str(uuid.UUID(int=number)) for number in range(4)]
deliveries = st.builds(
    lambda state, names, archives, reason: Delivery(
        state=state,
        items=tuple(map(item, names)),
        archives=tuple(StoredAsset(id=name) for name in archives),
        reason=reason,
    ),
    st.sampled_from(DeliveryState),
    st.lists(st.sampled_from(NAMES), unique=True),
    st.lists(st.sampled_from(NAMES[:2]), unique=True),
    st.sampled_from(["one reason", "another"]),
)


class TestFingerprint:
    @given(deliveries, deliveries)
    @settings(derandomize=True, max_examples=300, deadline=None)
    def test_changes_when_and_only_when_state_items_or_archives_do(self, one, other):
        def told(delivery):
            return delivery.state, {i.id for i in delivery.items}, {asset.id for asset in delivery.archives}

        assert (one.fingerprint == other.fingerprint) is (told(one) == told(other))

    def test_is_never_the_one_of_an_order_nobody_looked_at(self):
        assert Delivery(state=WAITING, items=(), reason="").fingerprint

    def test_is_the_same_in_every_process(self):
        # It is stored in cursors and in data versions.
        delivery = Delivery(state=COMPLETE, items=(item("b"), item("a")), reason="")
        assert delivery.fingerprint == digest(["item a", "state complete", "item b"]) == "dd4310bdc60f9b10"
