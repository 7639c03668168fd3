"""What a data product asks for, and how parameters that do not fit are refused before anything is ordered."""

from copy import deepcopy

import pytest

from up42_pipelines.api import Catalog, OrderForm
from up42_pipelines.errors import InvalidParams, NotFound, UnexpectedAnswer

DEFINITION = {"$ref": "#/definitions/x"}


def form(**schema):
    return OrderForm(data_product_id="p-1", schema=schema)


def choice(*values, **more):
    return {"title": "x", "anyOf": [{"const": value, "title": value.upper()} for value in values], **more}


TASKING = {
    "$schema": "https://json-schema.org/draft-07/schema",
    "type": "object",
    "properties": {
        "geometry": {"type": "object", "allOf": [{"$ref": "#/definitions/Polygon"}]},
        "displayName": {"type": "string"},
        "acquisitionStart": {"type": "string", "format": "date-time"},
        "acquisitionMode": {"type": "string", "allOf": [{"$ref": "#/definitions/acquisitionMode"}]},
        "cloudCoverage": {"type": "integer", "minimum": 5, "maximum": 20},
        "deliveredBy": {"type": "string", "format": "date"},
        "projection": {"type": "string", "allOf": [{"$ref": "#/definitions/projection"}]},
    },
    "required": ["geometry", "displayName", "acquisitionStart", "acquisitionMode"],
    "definitions": {
        "Polygon": {"type": "object", "required": ["coordinates"]},
        "acquisitionMode": choice("mono", "stereo", default=None),
        "projection": choice("4326", default="4326"),
    },
    "additionalProperties": False,
    "allOf": [
        {
            "if": {"properties": {"acquisitionMode": {"const": "mono"}}},
            "then": {"definitions": {"projection": {"const": None}}},
            "else": {"definitions": {"projection": choice("3857", "4326")}},
        },
        {"allOf": [{"if": {"properties": {}}, "then": {"definitions": {"acquisitionMode": choice("tristereo")}}}]},
    ],
}
FIELDS = "acquisitionStart, acquisitionMode, cloudCoverage, deliveredBy, projection"
FITTING = {"acquisitionStart": "2026-05-01T00:00:00Z", "acquisitionMode": "mono"}


def problems(schema, params):
    with pytest.raises(InvalidParams) as caught:
        OrderForm(data_product_id="p-1", schema=schema).check(params)
    assert caught.value.data_product_id == "p-1"
    assert str(caught.value).startswith("The order parameters do not fit data product p-1: ")
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return set(caught.value.problems)


class TestClipping:
    @pytest.mark.parametrize("geometry", ["aoi", "geometry"])
    def test_products_with_a_geometry_are_clipped(self, geometry):
        assert form(properties={"id": {}, geometry: DEFINITION}, required=["id"]).is_clipped
        assert form(properties={"id": {}, geometry: {}}).is_clipped

    @pytest.mark.parametrize(
        "schema",
        [
            {"properties": {"id": {}}, "required": ["id"]},
            {"properties": {}},
            {"properties": None},
            {},
            {"definitions": {"aoi": {"type": "object"}, "Polygon": {}}},
            {"required": ["aoi"]},
        ],
    )
    def test_products_without_one_are_whole_scenes(self, schema):
        assert not form(**schema).is_clipped


class TestCheck:
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"cloudCoverage": 5},
            {"displayName": "also here", "geometry": {"coordinates": []}},  # elsewhere in v2, and not looked at
            {"projection": "4326"},
            {"projection": "3857"},  # one of the versions that the rules define
            {"acquisitionMode": "tristereo"},
        ],
    )
    def test_what_fits(self, more):
        OrderForm(data_product_id="p-1", schema=TASKING).check({**FITTING, **more})

    @pytest.mark.parametrize(
        ("params", "told"),
        [
            ({}, {"'acquisitionStart' is missing", "'acquisitionMode' is missing"}),
            (
                {**FITTING, "acquisitionMode": "quadro"},
                {"acquisitionMode: 'quadro' is none of 'mono', 'stereo', 'tristereo'"},
            ),
            ({**FITTING, "projection": "25832"}, {"projection: '25832' is none of '4326', None, '3857'"}),
            ({**FITTING, "deliveredBy": "soon"}, {"deliveredBy: 'soon' is not a 'date'"}),
            ({**FITTING, "cloudCoverage": 50}, {"cloudCoverage: 50 is greater than the maximum of 20"}),
            ({**FITTING, "cloudCoverage": "10"}, {"cloudCoverage: '10' is not of type 'integer'"}),
            (
                {**FITTING, "cloudcover": 10},
                {f"Additional properties are not allowed ('cloudcover' was unexpected); the form has {FIELDS}"},
            ),
        ],
    )
    def test_every_field_at_fault_is_named(self, params, told):
        assert problems(TASKING, params) == told

    def test_all_at_once(self):
        assert len(problems(TASKING, {"cloudCoverage": 50, "projection": "x", "new": 1})) == 5

    def test_fields_inside_fields(self):
        schema = {"properties": {"weights": {"items": {"properties": {"weight": {"type": "number"}}}}}}
        assert problems(schema, {"weights": [{"weight": 1}, {"weight": "much"}]}) == {
            "weights/1/weight: 'much' is not of type 'number'"
        }

    def test_a_rule_that_forbids_a_field(self):
        rule = {"if": {"required": ["a"]}, "then": {"properties": {"b": False}}}
        schema = {"properties": {"a": {}, "b": {}}, "allOf": [rule]}
        form(**schema).check({"b": 1})
        assert problems(schema, {"a": 1, "b": 1}) == {"1 is not taken together with the other parameters"}

    def test_older_enumerations(self):
        enum = {"enum": [{"id": "spotlight", "label": "Spotlight"}, {"id": "stripmap", "label": "Stripmap"}, "plain"]}
        schema = {"properties": {"mode": {"allOf": [DEFINITION]}}, "definitions": {"x": enum}}
        for value in ("spotlight", "stripmap", "plain"):
            form(**schema).check({"mode": value})
        assert problems(schema, {"mode": "orbit"}) == {"mode: 'orbit' is none of 'spotlight', 'stripmap', 'plain'"}

    def test_one_of(self):
        schema = {"properties": {"mode": {"oneOf": [{"const": "a"}, {"const": "b"}]}}}
        assert problems(schema, {"mode": "c"}) == {"mode: 'c' is none of 'a', 'b'"}

    def test_alternatives_that_are_no_enumeration(self):
        schema = {"properties": {"mode": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}
        assert problems(schema, {"mode": []}) == {"mode: [] is not valid under any of the given schemas"}

    def test_a_form_without_parameters(self):
        told = problems({"properties": {"aoi": {}}, "additionalProperties": False}, {"id": "s"})
        assert told == {"Additional properties are not allowed ('id' was unexpected); the form has no parameters"}

    @pytest.mark.parametrize(
        "broken",
        [
            {"allOf": [{"$ref": "#/definitions/nothing"}]},
            {"$ref": "https://elsewhere.example.com/schema.json"},
            {"type": "strng"},
            {"minimum": "low"},
            {"pattern": "("},
        ],
    )
    def test_a_form_that_is_broken_refuses_nothing(self, broken):
        form(properties={"mode": broken}).check({"mode": "x"})

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_form_cannot_make_us_fetch_anything(self, script):
        script.on("/schema.json", (200, {"type": "integer"}, {}))
        form(properties={"mode": {"$ref": f"{script.url}/schema.json"}}).check({"mode": "x"})
        assert script.asked == []

    @pytest.mark.parametrize(
        "dialect", ["http://json-schema.org/schema#", "", "https://json-schema.org/draft/2020-12/schema"]
    )
    def test_dialects(self, dialect):
        schema = {"$schema": dialect, "properties": {"n": {"type": "integer"}}}
        assert problems(schema, {"n": "one"}) == {"n: 'one' is not of type 'integer'"}

    def test_the_form_stays_as_it_was(self):
        before = deepcopy(TASKING)
        OrderForm(data_product_id="p-1", schema=TASKING).check(FITTING)
        assert before == TASKING


class TestParamsSchema:
    def test_what_travels_elsewhere_is_not_demanded(self):
        schema = OrderForm(data_product_id="p-1", schema=TASKING).params_schema
        assert schema["required"] == ["acquisitionStart", "acquisitionMode"]
        assert schema["properties"]["geometry"] is schema["properties"]["displayName"] is True
        assert schema["properties"]["cloudCoverage"] == TASKING["properties"]["cloudCoverage"]
        assert form().params_schema == {"definitions": {}, "properties": {}, "required": []}


@pytest.fixture(scope="module")
def catalog(slow_sandbox):
    client = slow_sandbox.client()
    yield client.catalog
    client.transport.close()


@pytest.fixture(scope="module")
def order_form(catalog):
    def order_form(collection, product="analytic"):
        return catalog.order_form(catalog.collection(collection).data_product(product).id)

    return order_form


class TestSandbox:
    def test_of_an_archive_product(self, order_form):
        archive = order_form("sandbox-optical")
        assert archive.is_clipped
        assert {"id", "aoi"} <= set(archive.schema["properties"])
        archive.check({"id": "SCENE_1"})
        with pytest.raises(InvalidParams, match="'id' is missing"):
            archive.check({})

    def test_of_a_tasking_product(self, order_form):
        tasking = order_form("sandbox-tasking")
        interval = {"acquisitionStart": "2026-07-01T00:00:00Z", "acquisitionEnd": "2026-08-01T00:00:00Z"}
        tasking.check({**interval, "acquisitionMode": "stereo", "minBH": 0.3})
        for wrong in ({"acquisitionMode": "loud"}, {"cloudCoverage": 100}, {"nonsense": 1}):
            with pytest.raises(InvalidParams, match=next(iter(wrong))):
                tasking.check({**interval, **wrong})
        with pytest.raises(InvalidParams, match="is not taken together"):
            tasking.check({**interval, "acquisitionMode": "mono", "minBH": 0.3})

    @pytest.mark.parametrize("product_id", ["00000000-0000-4000-8000-000000000000", "no-uuid"])
    def test_of_no_product(self, catalog, product_id):
        with pytest.raises(NotFound, match=product_id):
            catalog.order_form(product_id)


class TestOnTheWire:
    def test_is_asked_for_by_product(self, script, transport):
        script.on("/orders/schema/a%2Fb", (200, TASKING, {}))
        order_form = Catalog(transport).order_form("a/b")
        assert (order_form.data_product_id, order_form.schema) == ("a/b", TASKING)

    @pytest.mark.parametrize("answer", [[], None, "text"])
    def test_what_is_no_form(self, script, transport, answer):
        script.on("/orders/schema/p", (200, answer, {}))
        with pytest.raises(UnexpectedAnswer, match="order form of data product p is no JSON schema"):
            Catalog(transport).order_form("p")

    def test_the_older_kind_of_refusal(self, script, transport):
        script.on("/orders/schema/p", (200, {"data": None, "error": {"code": 404, "message": "unknown p"}}, {}))
        with pytest.raises(NotFound, match="unknown p"):
            Catalog(transport).order_form("p")
