"""What a pipeline's buyer is made of, and its orders at UP42 as entries of its ledger."""

from datetime import UTC, datetime
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from up42_pipelines.api import Order
from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.buyer import entries_at_up42, order_buyer
from up42_pipelines.ordering.keys import OrderTags, pipeline_tag
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState

NOON = "2026-06-01T12:00:00Z"


def order(
    name, *, key="k", pipeline="berlin", partition="berlin|2026-06-01", credits=310, status="PLACED", created=NOON
):
    tags = OrderTags(pipeline=pipeline, partition=partition, key=key, credits=credits).to_tags()
    return Order.parse({"id": name, "status": status, "tags": list(tags), "createdAt": created})


class Orders:
    """A list of orders, as UP42 would answer it."""

    def __init__(self, *orders):
        self.orders, self.asked = orders, []

    def list(self, **query):
        self.asked.append(query)
        return iter(self.orders)


def entries(*orders):
    return list(entries_at_up42(Orders(*orders), "berlin"))


class TestEntries:
    def test_asks_for_the_pipelines_own_oldest_first(self):
        orders = Orders()
        assert list(entries_at_up42(orders, "berlin")) == []
        assert orders.asked == [{"tags": [pipeline_tag("berlin")]}]

    def test_what_the_tags_say(self):
        assert entries(order("a")) == [
            Entry(
                key="k",
                credits=310,
                partition="berlin|2026-06-01",
                at=datetime(2026, 6, 1, 12, tzinfo=UTC),
                state=EntryState.SPENT,
                purchase_ids=("a",),
            )
        ]

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("CANCELED", EntryState.RETURNED),
            ("FAILED_PERMANENTLY", EntryState.SPENT),
            ("FAILED", EntryState.SPENT),
            ("FULFILLED", EntryState.SPENT),
            ("HAGGLING", EntryState.SPENT),
        ],
    )
    def test_only_what_was_cancelled_counts_no_more(self, status, state):
        [entry] = entries(order("a", status=status))
        assert entry.state == state

    def test_orders_that_are_not_its_own_are_left_out(self):
        untagged = Order.parse({"id": "b", "status": "PLACED", "tags": None})
        assert entries(order("a", pipeline="berlin_daily"), untagged) == []

    def test_an_order_without_a_date_counts_now(self):
        [entry] = entries(order("a", created=None))
        assert abs(entry.at - datetime.now(UTC)).total_seconds() < 60


def buyer(lake, *orders, **options):
    options = {"ceilings": Ceilings(month=1000), "approvals": Approvals(above=5), "run": "run-7", **options}
    return order_buyer(Orders(*orders), None, lake, "berlin", **options)


class TestBuyer:
    def test_a_new_ledger_knows_what_was_bought_before(self, tmp_path):
        made = buyer(Lake(str(tmp_path)), order("a"), order("b", key="l", credits=5), order("c", key="l", credits=7))
        assert made.ledger.sheet().committed() == 322
        assert made.ledger.sheet().entries["l"].purchase_ids == ("b", "c")
        assert (made.run, made.ledger.ceilings.month, made.approvals.above) == ("run-7", 1000, 5)

    def test_a_lake_that_replaces_what_exists_is_refused(self):
        class Careless(MemoryFileSystem):
            """Takes `mode="create"` and drops it, as some object stores do; has a name that the lake trusts."""

            protocol = ("s3",)
            store: ClassVar = {}
            pseudo_dirs: ClassVar = [""]

            def pipe_file(self, path, value, **_options):
                super().pipe_file(path, value)

        lake = Lake("memory://careless")
        lake.fs, lake._backends = Careless(), {"s3"}
        with pytest.raises(LakeError, match="replaced it"):
            buyer(lake)

    def test_a_lake_of_which_it_is_not_known_is_refused(self, tmp_path):
        lake = Lake(f"dir://{tmp_path}", {"fs": fsspec.filesystem("memory"), "path": "/"})
        with pytest.raises(LakeError, match="not known whether it refuses"):
            buyer(lake)
