"""Records that keep what they do not know, and listings that neither repeat nor lose a row."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.api import Collection, Estimate, Order, OrderInput, Orders, OrderStatus, Placement
from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.api.paging import PAGE_SIZE, next_link, spring_pages
from up42_pipelines.errors import UnexpectedAnswer


def order_body(**changes):
    return {
        "id": "o-1",
        "workspaceId": "w",
        "displayName": "harbour watch",
        "type": "ARCHIVE",
        "status": "PLACED",
        "dataProductId": "p",
        "tags": ["dagster"],
        "orderDetails": {"aoi": {"type": "Point", "coordinates": [1, 2]}, "imageId": "SCENE_1"},
        "createdAt": "2026-01-02T03:00:00.000001Z",
        "updatedAt": "2026-01-02T03:10:00Z",
        **changes,
    }


class TestTolerance:
    def test_unknown_fields_are_kept(self):
        body = order_body(budgetId="b", newThing={"deep": [1]})
        order = Order.parse(body)
        assert order.raw == body
        assert order.model_extra == {"budgetId": "b", "newThing": {"deep": [1]}}

    def test_also_those_of_records_inside_records(self):
        body = {"name": "phr", "providers": [{"name": "h", "roles": ["HOST"], "country": "FR"}], "rank": 1}
        collection = Collection.parse(body)
        assert collection.providers[0].model_extra == {"country": "FR"}
        assert collection.model_extra == {"rank": 1}

    def test_known_statuses_are_members_of_the_enum(self):
        for status in OrderStatus:
            assert Order.parse(order_body(status=status.value)).status is status

    def test_unknown_statuses_are_carried_as_text_and_are_not_final(self):
        order = Order.parse(order_body(status="QUALITY_CONTROL"))
        assert order.status == "QUALITY_CONTROL"
        assert not isinstance(order.status, OrderStatus)
        assert (order.is_final, order.is_failed, order.is_fulfilled) == (False, False, False)

    def test_unknown_collection_types_too(self):
        assert Collection.parse({"name": "c", "type": "STREAM"}).type == "STREAM"
        assert Collection.parse({"name": "c", "type": "ARCHIVE"}).type.name == "ARCHIVE"

    def test_absent_optional_fields_are_none(self):
        order = Order.parse({"id": "o", "status": "CREATED"})
        assert (order.tags, order.scene_id, order.aoi, order.created_at) == (None, None, None, None)

    def test_times_are_aware(self):
        order = Order.parse(order_body())
        assert order.created_at.isoformat() == "2026-01-02T03:00:00.000001+00:00"
        with pytest.raises(UnexpectedAnswer, match="createdAt"):
            Order.parse(order_body(createdAt="2026-01-02T03:00:00"))

    def test_names_are_camel_case_on_the_wire(self):
        order = Order.parse(order_body())
        assert (order.workspace_id, order.display_name, order.data_product_id) == ("w", "harbour watch", "p")

    def test_records_cannot_be_changed(self):
        with pytest.raises(ValueError, match="frozen"):
            Order.parse(order_body()).status = "FULFILLED"


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


class TestOrder:
    @pytest.mark.parametrize(
        ("status", "failed", "fulfilled"),
        [
            ("CREATED", False, False),
            ("BEING_PLACED", False, False),
            ("PLACED", False, False),
            ("PLACEMENT_FAILED", False, False),
            ("BEING_FULFILLED", False, False),
            ("DELIVERY_INITIALIZATION_FAILED", False, False),
            ("DOWNLOAD_FAILED", False, False),
            ("DOWNLOADED", False, False),
            ("FULFILLED", False, True),
            ("FAILED_PERMANENTLY", True, False),
            ("FAILED", True, False),
            ("CANCELED", True, False),
        ],
    )
    def test_what_a_status_means(self, status, failed, fulfilled):
        order = Order.parse(order_body(status=status))
        assert (order.is_failed, order.is_fulfilled, order.is_final) == (failed, fulfilled, failed or fulfilled)

    def test_details(self):
        assert Order.parse(order_body()).scene_id == "SCENE_1"
        assert Order.parse(order_body()).aoi == {"type": "Point", "coordinates": [1, 2]}
        tasking = Order.parse(order_body(orderDetails={"geometry": {"type": "Point", "coordinates": [3, 4]}}))
        assert tasking.aoi == {"type": "Point", "coordinates": [3, 4]}
        assert tasking.scene_id is None


WANTED = {
    "data_product": "p",
    "display_name": "n",
    "params": {"id": "SCENE_1"},
    "feature_collection": {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}]},
}


class TestOrderInput:
    def test_absent_tags_are_omitted_and_null_geometries_are_not(self):
        body = OrderInput(**WANTED).to_json()
        assert body == {
            "dataProduct": "p",
            "displayName": "n",
            "params": {"id": "SCENE_1"},
            "featureCollection": {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}]},
        }

    def test_tags_that_are_there(self):
        assert OrderInput(**WANTED, tags=("a", "b")).to_json()["tags"] == ["a", "b"]

    @pytest.mark.parametrize(
        "wrong", [{"display_name": ""}, {"display_name": "x" * 201}, {"tags": tuple(map(str, range(31)))}]
    )
    def test_limits_of_the_api_hold_before_anything_is_sent(self, wrong):
        with pytest.raises(ValueError, match=r"at (least|most)"):
            OrderInput(**{**WANTED, **wrong})


class TestMoney:
    def test_the_total_of_the_summary_counts(self):
        estimate = Estimate.parse({"summary": {"totalCredits": 310}, "results": [{"index": 0, "credits": 300}]})
        assert estimate.credits == 310

    def test_zero_is_a_total(self):
        estimate = Estimate.parse({"summary": {"totalCredits": 0}, "results": [{"index": 0, "credits": 300}]})
        assert estimate.credits == 0

    def test_without_a_total_the_lines_are_added(self):
        lines = [{"index": 0, "credits": 300.5, "unit": "SQ_KM", "size": 1.5}, {"index": 1, "credits": 10}]
        assert Estimate.parse({"results": lines}).credits == 310.5

    def test_an_id_that_was_paid_for_survives_unknown_fields(self, script, transport):
        answer = {"results": [{"index": 0, "id": "o-1", "status": {"x": 1}}], "errors": [], "charged": True}
        script.on("/v2/orders", (201, answer, {}))
        placement = Orders(transport, lambda: "w").place(OrderInput(**WANTED))
        assert [line.id for line in placement.results] == ["o-1"]
        assert placement.raw == answer

    @pytest.mark.parametrize("answer", [{"results": [{"id": "o-1"}]}, {"results": [{"id": "o-1", "index": None}]}])
    def test_and_missing_ones(self, script, transport, answer):
        script.on("/v2/orders", (200, answer, {}))
        placement = Orders(transport, lambda: "w").place(OrderInput(**WANTED))
        assert [line.id for line in placement.results] == ["o-1"]

    def test_the_body_on_the_wire(self, script, transport):
        script.on("/v2/orders", (201, {"results": [{"index": 0, "id": "o-1"}]}, {}))
        Orders(transport, lambda: "w").place(OrderInput(**WANTED))
        [request] = script.requests("/v2/orders")
        assert (request["method"], request["query"]) == ("POST", "workspaceId=w")
        assert json.loads(request["body"]) == OrderInput(**WANTED).to_json()
        assert "tags" not in json.loads(request["body"])


class Listing:
    """A Spring listing, newest first, into which rows are put while it is read."""

    def __init__(self, rows, arrivals=()) -> None:
        self.rows, self._arrivals, self.asked = list(rows), list(arrivals), []

    def fetch(self, page):
        self.asked.append(dict(page))
        if self._arrivals and page["page"]:
            self.rows[:0] = self._arrivals.pop(0)
        begin = page["page"] * page["size"]
        pages = -(-len(self.rows) // page["size"])
        return {"content": self.rows[begin : begin + page["size"]], "totalPages": pages}


def rows(*names):
    return [{"id": str(name)} for name in names]


class TestSpringPages:
    def test_asks_for_the_documented_pages(self):
        listing = Listing(rows(*range(250)))
        assert list(spring_pages(listing.fetch)) == listing.rows
        assert listing.asked == [{"page": page, "size": PAGE_SIZE} for page in range(3)]

    def test_full_last_page_costs_no_further_request(self):
        listing = Listing(rows(*range(6)))
        assert len(list(spring_pages(listing.fetch, size=3))) == 6
        assert len(listing.asked) == 2

    def test_is_lazy(self):
        listing = Listing(rows(*range(9)))
        pages = spring_pages(listing.fetch, size=3)
        assert listing.asked == []
        assert [next(pages)["id"] for _ in range(3)] == ["0", "1", "2"]
        assert len(listing.asked) == 1
        assert next(pages)["id"] == "3"
        assert len(listing.asked) == 2

    @given(
        st.integers(0, 12),
        st.lists(st.integers(0, 4), max_size=6),
        st.integers(1, 5),
    )
    @settings(derandomize=True, max_examples=200, deadline=None)
    def test_rows_that_arrive_meanwhile_neither_hide_nor_double_others(self, there, arriving, size):
        before = rows(*range(there))
        new = [rows(*(f"new{turn}.{number}" for number in range(count))) for turn, count in enumerate(arriving)]
        found = list(spring_pages(Listing(before, new).fetch, size=size))
        assert [row for row in found if row in before] == before
        assert len({row["id"] for row in found}) == len(found)

    def test_a_page_of_nothing_but_repetitions_is_not_the_end(self):
        listing = Listing(rows(*range(6)), [rows(*(f"new{number}" for number in range(3)))])
        assert [row["id"] for row in spring_pages(listing.fetch, size=3)] == ["0", "1", "2", "3", "4", "5"]

    @pytest.mark.parametrize(
        "body",
        [
            {"content": [], "totalPages": 0},
            {"content": [], "totalPages": 5},
            {"content": None, "totalPages": None},
            {},
        ],
    )
    def test_an_empty_page_ends_it(self, body):
        asked = []
        assert list(spring_pages(lambda page: asked.append(page) or body)) == []
        assert len(asked) == 1

    def test_a_page_that_is_empty_too_early_ends_it(self):
        pages = [{"content": rows(1), "totalPages": 9}, {"content": [], "totalPages": 9}]
        assert list(spring_pages(lambda page: pages[page["page"]], size=1)) == rows(1)

    @pytest.mark.parametrize(("said", "requests"), [({"totalPages": 0}, 1), ({"totalPages": None}, 2), ({}, 2)])
    def test_where_no_number_of_pages_is_said_it_ends_when_nothing_new_comes(self, said, requests):
        asked = []
        body = {"content": rows(1, 2), **said}
        assert list(spring_pages(lambda page: asked.append(page) or body)) == rows(1, 2)
        assert len(asked) == requests

    def test_rows_are_told_apart_by_name_where_they_have_no_id(self):
        body = {"content": [{"name": "a"}, {"name": "b"}, {"name": "a"}], "totalPages": 1}
        assert [row["name"] for row in spring_pages(lambda _page: body)] == ["a", "b"]

    def test_rows_that_cannot_be_told_apart_all_count(self):
        body = {"content": [{"x": 1}, {"x": 1}], "totalPages": 1}
        assert len(list(spring_pages(lambda _page: body))) == 2


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([{"rel": "next", "href": "https://other.example.com/b?x=1"}], "https://other.example.com/b?x=1"),
        ([{"rel": "next", "href": "/b?x=1"}], "https://api.example.com/b?x=1"),
        ([{"rel": "next", "href": "?next=2"}], "https://api.example.com/a/search?next=2"),
        ([{"rel": "next", "href": "more"}], "https://api.example.com/a/more"),
        ([{"rel": "self", "href": "/s"}, {"rel": "next", "href": "/n"}], "https://api.example.com/n"),
        ([{"rel": "self", "href": "/s"}, {"rel": "prev", "href": "/p"}], None),
        ([{"rel": "next", "href": ""}], None),
        ([{"rel": "next"}], None),
        ([], None),
        (None, None),
    ],
)
def test_next_link(links, expected):
    assert next_link({"links": links}, base="https://api.example.com/a/search") == expected
    assert next_link({}, base="https://api.example.com/a/search") is None
