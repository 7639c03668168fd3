import jsonschema
import requests

from up42_pipelines.sandbox.catalog import products


def test_collections_are_public_and_complete(sandbox):
    page = requests.get(sandbox.url + "/v2/collections", timeout=10).json()
    assert (page["totalPages"], page["totalElements"], page["number"], page["last"]) == (1, 2, 0, True)
    collection, tasking = page["content"]
    assert (tasking["name"], tasking["type"]) == ("sandbox-tasking", "TASKING")
    assert tasking["integrations"] == ["FEASIBILITY_STUDY_REQUIRED", "QUOTATION_REQUIRED"]
    assert (collection["name"], collection["type"]) == ("sandbox-optical", "ARCHIVE")
    assert collection["metadata"]["resolutionValue"] == {"minimum": 3.0}
    assert collection["providers"][0]["roles"] == ["PRODUCER", "HOST"]
    assert {product["name"] for product in collection["dataProducts"]} == {"analytic", "display", "bundle"}
    assert all(product["id"] and product["eulaId"] for product in collection["dataProducts"])
    assert requests.get(sandbox.url + "/v2/collections/sandbox-optical", timeout=10).json() == collection


def test_an_unknown_collection_has_a_404_of_its_own(sandbox):
    answer = requests.get(sandbox.url + "/v2/collections/phr", timeout=10)
    assert answer.status_code == 404
    assert answer.json() == {"code": 404, "message": "Collection with name phr not found", "details": None}


def test_a_page_beyond_the_end_is_empty(sandbox):
    page = sandbox.get("/v2/collections?page=7&size=1&sort=title,desc").json()
    assert (page["content"], page["empty"], page["totalPages"]) == ([], True, 2)


def test_collections_are_filtered_by_type_and_integrations(sandbox):
    def names(query):
        return [one["name"] for one in sandbox.get(f"/v2/collections?{query}").json()["content"]]

    assert names("type=TASKING") == names("integrations=QUOTATION_REQUIRED") == ["sandbox-tasking"]
    assert names("type=ARCHIVE") == ["sandbox-optical"]
    assert names("sort=type,desc") == ["sandbox-tasking", "sandbox-optical"]


def test_tasking_collections_cannot_be_searched(sandbox):
    body = {"bbox": [13, 52, 14, 53], "collections": ["sandbox-tasking"]}
    answer = sandbox.post("/catalog/hosts/sandbox-host/stac/search", body)
    assert answer.status_code == 422


def test_the_order_form_is_a_bare_schema(sandbox, aoi):
    schema = sandbox.get(f"/orders/schema/{products.OPTICAL.products[0].id}").json()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate({"id": "SBX", "aoi": aoi}, schema)
    assert schema["required"] == ["id", "aoi"]


def test_an_unknown_product_has_no_order_form(sandbox):
    for product_id in ("11111111-1111-4111-8111-111111111111", "nonsense"):
        assert sandbox.get(f"/orders/schema/{product_id}").status_code == 404


def test_the_order_form_of_tasking_is_shaped_like_up42s(sandbox, aoi):
    schema = sandbox.get(f"/orders/schema/{products.TASKING.products[0].id}").json()
    validator = jsonschema.Draft7Validator(schema)
    validator.check_schema(schema)
    assert schema["required"] == ["displayName", "geometry", "acquisitionStart", "acquisitionEnd"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["geometry"]["allOf"] == [{"$ref": "#/definitions/Polygon"}]
    assert schema["properties"]["acquisitionMode"]["allOf"] == [{"$ref": "#/definitions/acquisitionMode"}]
    assert schema["definitions"]["acquisitionMode"]["default"] == "mono"
    assert {"const": "stereo", "title": "Stereo"} in schema["definitions"]["acquisitionMode"]["anyOf"]
    filled = {
        "displayName": "harbour",
        "geometry": aoi,
        "acquisitionStart": "2026-07-01T00:00:00Z",
        "acquisitionEnd": "2026-07-31T00:00:00Z",
    }
    assert validator.is_valid(filled)
    assert validator.is_valid(filled | {"acquisitionMode": "stereo", "minBH": 0.2, "maxBH": 0.8})
    assert not validator.is_valid(filled | {"acquisitionMode": "mono", "minBH": 0.2})
    assert not validator.is_valid(filled | {"minBH": 0.2})
    assert not validator.is_valid(filled | {"acquisitionMode": "stereo", "minBH": 0.1})
    assert not validator.is_valid(filled | {"cloudCoverage": 4})
    assert not validator.is_valid(filled | {"incidenceAngle": 51})
