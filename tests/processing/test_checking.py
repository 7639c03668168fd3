"""Whether a job would be taken: by its description, and by the sandbox."""

import pytest

from up42_pipelines.api.processing import Process
from up42_pipelines.errors import ServerProblem
from up42_pipelines.processing.checking import check_inputs, check_job, in_words
from up42_pipelines.processing.items import up42_href

PANSHARPENING = "pansharpening"
URL = {"schema": {"type": "string"}, "minOccurs": 1, "maxOccurs": 1}


def problems(described, **inputs):
    found = check_inputs(Process.parse({"id": "mosaic", "inputs": described}), inputs)
    return [(one.name, one.message) for one in found]


class TestInputs:
    def test_inputs_that_fit(self):
        described = {"item": URL, "factor": {"schema": {"type": "integer", "minimum": 1}, "minOccurs": 0}}
        assert problems(described, title="a", item="href") == []
        assert problems(described, title="a", item="href", factor=2) == []

    def test_what_is_missing_unknown_and_of_another_type(self):
        described = {"item": URL, "other": {}, "factor": {"schema": {"type": "integer"}, "minOccurs": 0}}
        assert problems(described, title="a", item="href", factor="two", colour="red") == [
            ("MissingInput", "other: mosaic needs it"),
            ("UnknownInput", "colour: mosaic takes item, other, factor"),
            ("InvalidInput", "factor: 'two' is not of type 'integer'"),
        ]

    def test_the_title_is_never_in_question(self):
        assert problems({"title": URL, "item": URL}, item="href") == []
        assert problems({"item": URL}, item="href", title="a") == []

    @pytest.mark.parametrize("described", [None, {}])
    def test_a_description_without_inputs_refuses_nothing(self, described):
        assert problems(described, colour="red") == []

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "colourful"},
            {"minimum": 1, "exclusiveMinimum": True},
            {"$ref": "https://example.com/schema.json"},
            {"$ref": "#/nowhere"},
            "string",
            None,
        ],
    )
    def test_a_schema_that_cannot_be_used_refuses_nothing(self, schema, monkeypatch):
        fetched = []
        monkeypatch.setattr("urllib.request.urlopen", lambda request, *_, **__: fetched.append(request))
        assert problems({"factor": {"schema": schema}}, factor=0) == []
        assert not fetched

    @pytest.mark.parametrize("times", [2, "unbounded"])
    def test_of_an_input_that_may_occur_several_times_each_is_looked_at(self, times):
        described = {"items": {"schema": {"type": "string"}, "maxOccurs": times}}
        assert problems(described, items=["a", "b"]) == problems(described, items="a") == []
        assert problems(described, items=["a", 2]) == [("InvalidInput", "items: 2 is not of type 'string'")]

    def test_a_list_where_one_is_wanted(self):
        assert problems({"item": URL}, item=["a"]) == [("InvalidInput", "item: ['a'] is not of type 'string'")]

    def test_an_input_that_is_a_list_itself(self):
        described = {"items": {"schema": {"type": "array", "minItems": 2}, "maxOccurs": 2}}
        assert problems(described, items=["a"]) == [("InvalidInput", "items: ['a'] is too short")]

    def test_a_description_that_is_none_asks_for_nothing(self):
        assert problems({"item": "a link"}, item=3) == []
        assert problems({"item": "a link"}) == []


class TestJob:
    @pytest.fixture
    def inputs(self, workshop):
        return {"title": "check", "item": up42_href(workshop.items[0])}

    @pytest.fixture
    def requests(self, workshop, monkeypatch):
        """The requests that are sent, as method and path."""
        sent, send = [], workshop.client.transport.send

        def recorded(method, url, **options):
            sent.append((method, url.rpartition("/v2/")[2]))
            return send(method, url, **options)

        monkeypatch.setattr(workshop.client.transport, "send", recorded)
        return sent

    def test_one_that_fits(self, workshop, inputs, requests):
        assessed = check_job(workshop.client.processing, PANSHARPENING, inputs)
        assert (assessed.problems, assessed.eula_accepted, assessed.process.id) == ((), True, PANSHARPENING)
        assert assessed.cost >= 1
        assert assessed.reasons == ""
        path = f"processing/processes/{PANSHARPENING}"
        assert requests == [
            ("GET", path),
            ("GET", f"eulas/{assessed.eula_id}"),
            ("POST", f"{path}/validation"),
            ("POST", f"{path}/cost"),
        ]

    def test_an_unknown_process_is_a_problem_and_ends_it(self, workshop, inputs, requests):
        assessed = check_job(workshop.client.processing, "alchemy", inputs)
        assert [one.name for one in assessed.problems] == ["ProcessNotFound"]
        assert "jobs processes" in assessed.reasons
        assert (assessed.process, assessed.cost, len(requests)) == (None, None, 1)

    def test_a_licence_that_nobody_accepted_is_a_problem_and_ends_it(self, workshop, inputs, requests):
        eula_id = workshop.client.processing.process(PANSHARPENING).eula_id
        requests.clear()
        workshop.control("access", eulas={eula_id: False})
        try:
            assessed = check_job(workshop.client.processing, PANSHARPENING, inputs)
        finally:
            workshop.control("access", eulas={eula_id: True})
        assert [one.name for one in assessed.problems] == ["EulaNotAccepted"]
        assert (assessed.eula_id, assessed.eula_accepted, assessed.cost) == (eula_id, False, None)
        assert len(requests) == 2

    def test_inputs_that_do_not_fit_have_no_price(self, workshop, inputs, requests):
        assessed = check_job(workshop.client.processing, PANSHARPENING, inputs | {"item": inputs["item"][:-1] + "x"})
        assert [one.name for one in assessed.problems] == ["ItemNotFound"]
        assert assessed.reasons == in_words(assessed.problems[0])
        assert (assessed.cost, len(requests)) == (None, 3)

    def test_a_failure_of_up42_is_no_judgement(self, workshop, inputs):
        path = f"/v2/processing/processes/{PANSHARPENING}/validation"
        rule = {"method": "POST", "path": path, "kind": "status", "status": 500, "times": 20}
        workshop.control("faults", faults=[rule])
        try:
            with pytest.raises(ServerProblem):
                check_job(workshop.client.processing, PANSHARPENING, inputs)
        finally:
            workshop.control("faults", method="DELETE")


class Offers:
    """UP42 with one process that has no template; everything fits."""

    def __init__(self, described):
        self.described, self.validated = described, []

    def process(self, process_id):
        return Process.parse({"id": process_id, "inputs": self.described})

    def eula(self, eula_id):
        pytest.fail(f"there is no EULA {eula_id}")

    def validate(self, process_id, _inputs):
        self.validated.append(process_id)
        return ()

    def cost(self, _process_id, _inputs):
        return "a price"


class TestDescription:
    def test_a_process_without_template_is_refused_before_anything_is_sent(self):
        offers = Offers({"item": URL})
        assessed = check_job(offers, "mosaic", {"colour": "red"})
        assert [one.name for one in assessed.problems] == ["MissingInput", "UnknownInput"]
        assert offers.validated == []

    def test_and_asked_for_when_it_fits(self):
        offers = Offers({"item": URL})
        assert check_job(offers, "mosaic", {"item": "href"}).cost == "a price"
        assert offers.validated == ["mosaic"]

    def test_of_a_process_with_template_up42_is_the_judge(self):
        assert check_job(Offers({"item": URL}), PANSHARPENING, {"colour": "red"}).cost == "a price"

    def test_a_process_without_licence(self):
        assessed = check_job(Offers({}), "mosaic", {})
        assert (assessed.eula_id, assessed.eula_accepted) == (None, True)
