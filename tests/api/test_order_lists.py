"""Every filter and every order of the list of orders, on the wire and at the sandbox."""

import uuid

import pytest
from shapely.geometry import box

from up42_pipelines.api import Orders, OrderSort, OrderStatus, OrderSubStatus, Sort
from up42_pipelines.errors import InvalidRequest

AREA = box(12.48, 41.88, 12.49, 41.89)
NOBODY = str(uuid.UUID(int=1))
TASK = {"acquisitionStart": "2031-07-01T00:00:00Z", "acquisitionEnd": "2031-08-01T00:00:00Z"}


@pytest.fixture(scope="module")
def client(slow_sandbox):
    client = slow_sandbox.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def orders(client):
    return client.orders


@pytest.fixture(scope="module")
def budget(client):
    return next(client.account.budgets(status=["ACTIVE"])).id


@pytest.fixture(scope="module")
def placed(client, budget, scenes_at, order_input):
    """Six orders, oldest first: the second is cancelled last, the fourth is on a budget, the last is tasking."""
    scene, ids = scenes_at(client, AREA)[0], []
    for number in range(6):
        kind = "even" if number % 2 == 0 else "odd"
        tags = ("listed", f"listed:{kind}", f"listed:{number}")
        options = {3: {"budget_id": budget}, 5: {"collection": "sandbox-tasking", "params": TASK}}.get(number, {})
        order = order_input(client, AREA, scene=scene, name=f"Listed No {number}", tags=tags, **options)
        ids.append(client.orders.place(order).results[0].id)
    client.orders.cancel(ids[1])
    return ids


@pytest.fixture(scope="module")
def find(orders, placed):
    """Which of the placed orders a filter finds, over pages."""

    def find(**filters):
        found = [order.id for order in orders.list(**{"tags": ["listed"], "page_size": 2, **filters})]
        assert len(set(found)) == len(found)
        return {placed.index(order_id) for order_id in found}

    return find


ALL = {0, 1, 2, 3, 4, 5}


class TestSandbox:
    @pytest.mark.parametrize("page_size", [1, 2, 3, 6, 100])
    @pytest.mark.parametrize("sort", [OrderSort.created_at.asc, OrderSort.created_at.desc])
    def test_by_creation(self, orders, placed, page_size, sort):
        found = orders.list(tags=["listed"], sort=sort, page_size=page_size)
        assert [order.id for order in found] == (placed[::-1] if sort.descending else placed)

    @pytest.mark.parametrize("page_size", [2, 100])
    @pytest.mark.parametrize("sort", [OrderSort.updated_at.asc, OrderSort.updated_at.desc])
    def test_by_change(self, orders, placed, page_size, sort):
        oldest_first = [placed[0], *placed[2:], placed[1]]
        found = list(orders.list(tags=["listed"], sort=sort, page_size=page_size))
        assert [order.id for order in found] == (oldest_first[::-1] if sort.descending else oldest_first)
        moments = [order.updated_at for order in found]
        assert moments == sorted(moments, reverse=sort.descending)

    @pytest.mark.parametrize("field", ["status", "type"])
    @pytest.mark.parametrize("descending", [True, False])
    def test_by_status_or_type(self, orders, placed, field, descending):
        sort = getattr(OrderSort, field)
        found = list(orders.list(tags=["listed"], sort=sort.desc if descending else sort.asc, page_size=2))
        assert {order.id for order in found} == set(placed)
        values = [getattr(order, field) for order in found]
        assert values == sorted(values, reverse=descending)
        assert len(set(values)) > 1

    def test_newest_first_when_not_said(self, orders, placed):
        assert [order.id for order in orders.list(tags=["listed"])] == placed[::-1]

    @pytest.mark.parametrize(
        ("filters", "numbers"),
        [
            ({"tags": ["listed:even"]}, {0, 2, 4}),
            ({"tags": ["listed:1", "listed:4"]}, {1, 4}),
            ({"tags": ["listed:even", "listed:3"]}, {0, 2, 3, 4}),
            ({"tags": ["listed:nothing"]}, set()),
            ({"status": ["CREATED"]}, ALL - {1}),
            ({"status": [OrderStatus.CANCELED]}, {1}),
            ({"status": ["CREATED", OrderStatus.CANCELED]}, ALL),
            ({"status": ["FULFILLED"]}, set()),
            ({"sub_status": [OrderSubStatus.FEASIBILITY_WAITING_UPLOAD]}, {5}),
            ({"sub_status": ["FEASIBILITY_WAITING_UPLOAD", "QUOTATION_ACCEPTED"]}, {5}),
            ({"sub_status": ["QUOTATION_ACCEPTED"]}, set()),
            ({"type": "ARCHIVE"}, ALL - {5}),
            ({"type": "TASKING"}, {5}),
            ({"display_name": "listed no"}, ALL),
            ({"display_name": "No 3"}, {3}),
            ({"display_name": "no 9"}, set()),
            ({"budget_ids": [NOBODY]}, set()),
            ({"type": "ARCHIVE", "status": ["CREATED"], "tags": ["listed:odd"], "display_name": "no"}, {3}),
        ],
    )
    def test_filters(self, find, filters, numbers):
        assert find(**filters) == numbers

    def test_by_budget(self, find, budget):
        assert find(budget_ids=[budget]) == find(budget_ids=[NOBODY, budget]) == {3}

    def test_by_id(self, orders, placed):
        found = orders.list(order_ids=[placed[3], placed[0], NOBODY], page_size=1)
        assert [order.id for order in found] == [placed[3], placed[0]]

    def test_tags_and_names_with_special_characters_are_found_as_they_are_written(
        self, orders, client, scenes_at, order_input
    ):
        """Tags as a pipeline writes them; those of the first order begin like those of the second."""
        tags = [
            ("key:0a1b", "pipeline:air:20port", "partition:air:20port/berlin-1/2026-06-01"),
            ("key:0a1b2", "pipeline:air:20port.x", "partition:air:20port/berlin-1/2026-06-01.x"),
        ]
        names = ["50%_of [air|port] + a&b=c?#1", "50% of [air|port] + a&b=c?#12"]
        scene = scenes_at(client, AREA)[0]
        ids = [
            orders.place(order_input(client, AREA, scene=scene, name=name, tags=own)).results[0].id
            for name, own in zip(names, tags, strict=True)
        ]
        for order_id, name, own in zip(ids, names, tags, strict=True):
            for tag in own:
                assert [order.id for order in orders.list(tags=[tag])] == [order_id]
            assert [order.id for order in orders.list(display_name=name)] == [order_id]
        assert [order.id for order in orders.list(display_name="[air|port] + a&b=c?#1")] == ids[::-1]
        assert [order.id for order in orders.list(tags=["key:0a1b", "key:0a1b2"])] == ids[::-1]
        for near in ("key:0a1", "key:0A1B", "key", "0a1b", "key:", "key:0a1b,key:0a1b2"):
            assert list(orders.list(tags=[near])) == []

    @pytest.mark.usefixtures("placed")
    def test_everything_of_the_workspace(self, orders, slow_sandbox):
        assert {order.id for order in orders.list(page_size=7)} == {one["id"] for one in slow_sandbox.ledger()}

    @pytest.mark.parametrize(
        ("wrong", "told"), [({"sort": Sort("credits")}, "sort must be one of"), ({"status": ["NEW"]}, "NEW")]
    )
    def test_refused(self, orders, wrong, told):
        with pytest.raises(InvalidRequest, match=told):
            list(orders.list(**wrong))


class TestOnTheWire:
    @pytest.mark.parametrize(
        ("filters", "asked"),
        [
            ({}, {}),
            ({"type": "TASKING"}, {"type": ["TASKING"]}),
            ({"status": ["PLACED", OrderStatus.CREATED]}, {"status": ["CREATED", "PLACED"]}),
            (
                {"sub_status": [OrderSubStatus.QUOTATION_ACCEPTED, "NEW"]},
                {"subStatus": ["NEW", "QUOTATION_ACCEPTED"]},
            ),
            ({"display_name": "x y"}, {"displayName": ["x y"]}),
            ({"tags": ["a", "b c"]}, {"tags": ["a", "b c"]}),
            ({"budget_ids": ["1", "2"]}, {"budgetIds": ["1,2"]}),
            ({"order_ids": ["1", "2"]}, {"orderIds": ["1,2"]}),
            ({"sort": OrderSort.updated_at.asc}, {"sort": ["updatedAt,asc"]}),
            ({"page_size": 7}, {"size": ["7"]}),
        ],
    )
    def test_query(self, script, transport, filters, asked):
        script.on("/v2/orders", (200, {"content": [], "totalPages": 0}, {}))
        assert list(Orders(transport, lambda: "w").list(**filters)) == []
        expected = {"workspaceId": ["w"], "sort": ["createdAt,desc"], "page": ["0"], "size": ["100"], **asked}
        assert script.queries("/v2/orders") == [
            sorted((name, value) for name, values in expected.items() for value in values)
        ]

    def test_pages_are_fetched_as_they_are_consumed(self, script, transport):
        def content(*names):
            return (200, {"content": [{"id": name, "status": "PLACED"} for name in names], "totalPages": 2}, {})

        script.on("/v2/orders", content("a", "b"), content("b", "c"))
        found = Orders(transport, lambda: "w").list(page_size=2)
        assert script.requests("/v2/orders") == []
        assert [next(found).id, next(found).id] == ["a", "b"]
        assert len(script.requests("/v2/orders")) == 1
        assert [order.id for order in found] == ["c"]
        assert len(script.requests("/v2/orders")) == 2

    def test_one_odd_order_does_not_hide_the_others(self, script, transport):
        rows = [{"id": "a", "status": "NEW"}, {"id": "b", "status": "PLACED", "orderDetails": None, "type": None}]
        script.on("/v2/orders", (200, {"content": rows, "totalPages": 1}, {}))
        assert [order.id for order in Orders(transport, lambda: "w").list()] == ["a", "b"]
