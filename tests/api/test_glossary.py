"""What can be bought: collections, their providers and data products."""

import pytest

from up42_pipelines.api import (
    Catalog,
    Collection,
    CollectionSort,
    CollectionType,
    DataProduct,
    Integration,
    Provider,
    Sort,
)
from up42_pipelines.errors import InvalidRequest, NotFound, UnexpectedAnswer

EMPTY = (200, {"content": [], "totalPages": 0, "totalElements": 0}, {})
PRODUCER, HOST = {"name": "p", "roles": ["PRODUCER"]}, {"name": "h", "roles": ["PRODUCER", "HOST"]}


@pytest.fixture(scope="module")
def catalog(slow_sandbox):
    client = slow_sandbox.client()
    yield client.catalog
    client.transport.close()


class TestSandbox:
    @pytest.mark.parametrize("field", [CollectionSort.name, CollectionSort.title, CollectionSort.description])
    def test_in_any_order(self, catalog, field):
        up = [getattr(one, field.field) for one in catalog.collections(sort=field.asc)]
        down = [getattr(one, field.field) for one in catalog.collections(sort=field.desc)]
        assert len(up) > 1
        assert up == sorted(up) == down[::-1]

    @pytest.mark.parametrize("kind", list(CollectionType))
    def test_of_a_type(self, catalog, kind):
        everything = list(catalog.collections())
        found = list(catalog.collections(type=kind, sort=CollectionSort.type.desc))
        assert {one.name for one in found} == {one.name for one in everything if one.type == kind}
        assert {one.type for one in found} == {kind}

    def test_of_a_type_that_nothing_has(self, catalog):
        assert list(catalog.collections(type="STREAM")) == []

    def test_unknown_sort(self, catalog):
        with pytest.raises(InvalidRequest, match="sort must be one of"):
            list(catalog.collections(sort=Sort("price").asc))

    def test_one(self, catalog):
        optical = catalog.collection("sandbox-optical")
        assert optical in list(catalog.collections())
        assert (optical.name, optical.type, optical.host) == ("sandbox-optical", CollectionType.ARCHIVE, "sandbox-host")
        assert {product.name for product in optical.data_products} == {"analytic", "display", "bundle"}
        assert all(product.id and product.eula_id for product in optical.data_products)
        assert Integration.SEARCH_AVAILABLE in optical.integrations
        assert optical.metadata.product_type == "OPTICAL"
        assert optical.metadata.resolution_value.minimum == 3.0

    def test_none(self, catalog):
        with pytest.raises(NotFound, match="Collection with name no-such-thing not found"):
            catalog.collection("no-such-thing")


class TestOnTheWire:
    @pytest.mark.parametrize(
        ("options", "asked"),
        [
            ({}, {"sort": "name,asc"}),
            ({"type": CollectionType.TASKING}, {"sort": "name,asc", "type": "TASKING"}),
            ({"type": "ARCHIVE", "sort": CollectionSort.title.desc}, {"sort": "title,desc", "type": "ARCHIVE"}),
        ],
    )
    def test_query(self, script, transport, options, asked):
        script.on("/v2/collections", EMPTY)
        assert list(Catalog(transport).collections(**options)) == []
        assert script.queries("/v2/collections") == [sorted((asked | {"page": "0", "size": "100"}).items())]

    def test_over_pages(self, script, transport):
        script.on(
            "/v2/collections",
            (200, {"content": [{"name": "a"}, {"name": "b"}], "totalPages": 2}, {}),
            (200, {"content": [{"name": "b"}, {"name": "c"}], "totalPages": 2}, {}),
        )
        found = Catalog(transport).collections()
        assert script.asked == []
        assert [next(found).name, next(found).name] == ["a", "b"]
        assert len(script.requests("/v2/collections")) == 1
        assert [one.name for one in found] == ["c"]

    def test_a_server_that_does_not_filter_is_helped(self, script, transport):
        rows = [{"name": "a", "type": "ARCHIVE"}, {"name": "b", "type": "TASKING"}, {"name": "c"}]
        script.on("/v2/collections", (200, {"content": rows, "totalPages": 1}, {}))
        catalog = Catalog(transport)
        assert [one.name for one in catalog.collections(type="TASKING")] == ["b"]
        assert [one.name for one in catalog.collections()] == ["a", "b", "c"]

    def test_names_cannot_leave_their_place_in_the_path(self, script, transport):
        with pytest.raises(NotFound):
            Catalog(transport).collection("../a?b#c")
        assert [one["path"] for one in script.asked if "/realms/" not in one["path"]] == [
            "/v2/collections/..%2Fa%3Fb%23c"
        ]


class TestCollection:
    def test_the_host_is_the_provider_with_that_role(self):
        assert Collection.parse({"name": "c", "providers": [PRODUCER, HOST]}).host == "h"

    @pytest.mark.parametrize("providers", [[], [PRODUCER], None])
    def test_without_host(self, providers):
        with pytest.raises(UnexpectedAnswer, match="Collection c lists no host"):
            _ = Collection.parse({"name": "c", "providers": providers}).host

    @pytest.mark.parametrize(
        ("roles", "host", "producer"),
        [
            (["HOST"], True, False),
            (["PRODUCER"], False, True),
            (["PRODUCER", "HOST"], True, True),
            (["NEW"], False, False),
        ],
    )
    def test_roles(self, roles, host, producer):
        provider = Provider.parse({"name": "p", "roles": roles})
        assert (provider.is_host, provider.is_producer) == (host, producer)

    def test_data_product_by_name_or_id(self):
        products = [{"name": "display", "id": "p-1"}, {"name": "analytic"}]
        collection = Collection.parse({"name": "c", "dataProducts": products})
        assert collection.data_product("display") == collection.data_product("p-1") == DataProduct.parse(products[0])
        assert collection.data_product("analytic").id is None

    def test_unknown_data_product_lists_what_there_is(self):
        products = [{"name": "display", "id": "p-1"}, {"name": "analytic", "id": "p-2"}]
        with pytest.raises(NotFound, match="no data product 'anaIytic'") as caught:
            Collection.parse({"name": "c", "dataProducts": products}).data_product("anaIytic")
        assert caught.value.status == 404
        assert "It has: display (p-1), analytic (p-2)" in str(caught.value)
        with pytest.raises(NotFound, match="It has: none"):
            Collection(name="empty").data_product("any")
