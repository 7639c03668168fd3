import jsonschema
import requests

from up42_pipelines.sandbox import products


def test_collections_are_public_and_complete(sandbox):
    page = requests.get(sandbox.url + "/v2/collections", timeout=10).json()
    assert (page["totalPages"], page["totalElements"], page["number"], page["last"]) == (1, 1, 0, True)
    (collection,) = page["content"]
    assert (collection["name"], collection["type"]) == ("sandbox-optical", "ARCHIVE")
    assert collection["metadata"]["resolutionValue"] == {"minimum": 3.0}
    assert collection["providers"][0]["roles"] == ["PRODUCER", "HOST"]
    assert {product["name"] for product in collection["dataProducts"]} == {"analytic", "display"}
    assert all(product["id"] and product["eulaId"] for product in collection["dataProducts"])
    assert requests.get(sandbox.url + "/v2/collections/sandbox-optical", timeout=10).json() == collection


def test_an_unknown_collection_has_a_404_of_its_own(sandbox):
    answer = requests.get(sandbox.url + "/v2/collections/phr", timeout=10)
    assert answer.status_code == 404
    assert answer.json() == {"code": 404, "message": "Collection with name phr not found", "details": None}


def test_a_page_beyond_the_end_is_empty(sandbox):
    page = sandbox.get("/v2/collections?page=7&size=1&sort=title,desc").json()
    assert (page["content"], page["empty"], page["totalPages"]) == ([], True, 1)


def test_the_order_form_is_a_bare_schema(sandbox, aoi):
    schema = sandbox.get(f"/orders/schema/{products.OPTICAL.products[0].id}").json()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate({"id": "SBX", "aoi": aoi}, schema)
    assert schema["required"] == ["id", "aoi"]


def test_an_unknown_product_has_no_order_form(sandbox):
    for product_id in ("11111111-1111-4111-8111-111111111111", "nonsense"):
        assert sandbox.get(f"/orders/schema/{product_id}").status_code == 404
