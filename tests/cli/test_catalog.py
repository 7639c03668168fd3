"""`collections`, `search`, `estimate`."""

import json
from pathlib import Path

import pytest
from shapely.geometry import MultiPolygon, box, mapping, shape

AOI_FILE = Path(__file__).resolve().parents[2] / "assets_defs" / "aois" / "berlin.geojson"
SCENE = "SBX_20260601T103249_R569C0773A"
"""Covers the AOI, in a sandbox with seed 0."""
WHEN = "--start 2026-06-01 --end 2026-06-05"
ESTIMATE = f"estimate --collection sandbox-optical --product analytic --scene {SCENE}"


def test_collections(cli):
    said = cli("collections")
    assert said.lines[0].split() == ["name", "type", "metres", "data", "products", "title"]
    assert {line.split()[0] for line in said.lines[1:]} == {"sandbox-optical", "sandbox-tasking"}
    assert [one["name"] for one in cli("collections --type tasking --json").json] == ["sandbox-tasking"]


def test_a_collection_with_its_products_and_eulas(cli, shop):
    said = cli("collections show sandbox-optical")
    raw = cli("collections show sandbox-optical --json").json
    assert raw == shop.client.catalog.collection("sandbox-optical").raw
    for product in raw["dataProducts"]:
        assert f"{product['id']}  {product['eulaId']}" in said.stdout
    for integration in raw["integrations"]:
        assert integration in said.stdout
    assert "host          sandbox-host" in said.lines


def test_options_of_the_list_before_a_sub_command_are_refused_rather_than_lost(cli):
    assert cli("collections --json show sandbox-optical").code == 2


@pytest.mark.parametrize("where", ["sandbox-host", "--collection sandbox-optical"])
def test_search_by_host_or_collection(cli, where):
    said = cli(f"search {where} --aoi {AOI_FILE} {WHEN}")
    assert said.code == 0
    assert SCENE in [line.split()[0] for line in said.lines]
    found = cli(f"search {where} --aoi {AOI_FILE} {WHEN} --json").json
    assert found["type"] == "FeatureCollection"
    assert [one["properties"]["id"] for one in found["features"]] == [line.split()[0] for line in said.lines[1:]]


def test_search_takes_both_ends_of_days_clouds_and_a_limit(cli):
    def days(options):
        features = cli(f"search sandbox-host --aoi {AOI_FILE} --json {options}").json["features"]
        return [(one["properties"]["datetime"][:10], one["properties"]["cloudCoverage"]) for one in features]

    assert {day for day, _ in days("--start 2026-06-01 --end 2026-06-05")} >= {"2026-06-01", "2026-06-05"}
    assert {day for day, _ in days("--start 2026-06-01T00:00:00Z --end 2026-06-05T00:00+02:00")} <= {
        f"2026-06-0{n}" for n in range(1, 5)
    }
    assert all(clouds <= 10 for _, clouds in days(f"{WHEN} --max-cloud 10"))
    assert len(days(f"{WHEN} --limit 1")) == 1


def test_search_for_parts_that_lie_apart_finds_nothing_between_them(cli, tmp_path):
    parts = [box(west, 52.46, west + 0.04, 52.48) for west in (13.38, 17.38)]
    days = "--start 2026-06-01 --end 2026-06-03"
    file = tmp_path / "parts.geojson"
    file.write_text(json.dumps(mapping(MultiPolygon(parts))))
    found = cli(f"search sandbox-host --aoi {file} {days} --json").json["features"]
    assert [any(shape(one["geometry"]).intersects(part) for one in found) for part in parts] == [True, True]
    assert all(shape(one["geometry"]).intersects(MultiPolygon(parts)) for one in found)
    assert len(cli(f"search sandbox-host --aoi {file} {days} --json --limit 2").json["features"]) == 2


def test_search_without_a_hit(cli):
    quiet = f"search sandbox-host --aoi {AOI_FILE} --start 1999-01-01 --end 1999-01-02"
    assert (cli(quiet).code, cli(quiet).stdout, cli(quiet).stderr) == (0, "", "No scenes.\n")
    assert cli(f"{quiet} --json").json == {"type": "FeatureCollection", "features": []}


def test_search_explains_what_is_wrong_with_an_aoi(cli, tmp_path):
    file = tmp_path / "bowtie.geojson"
    file.write_text(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}))
    said = cli(f"search sandbox-host --aoi {file} {WHEN}")
    assert (said.code, said.stdout) == (1, "")
    assert "Self-intersection" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (f"search --aoi {AOI_FILE} {WHEN}", "Give a HOST or --collection"),
        (f"search nobody --aoi {AOI_FILE} {WHEN}", "No archive collection is hosted by 'nobody'"),
        (f"search sandbox-host --aoi {AOI_FILE} --start june --end 2026-06-02", "'june' is no day or time"),
        (f"search sandbox-host --aoi nowhere.geojson {WHEN}", "nowhere.geojson"),
    ],
)
def test_search_asked_wrongly(cli, arguments, words):
    said = cli(arguments)
    assert (said.code, said.stdout) == (2, "")
    assert words in said.stderr


def test_estimate_prices_and_buys_nothing(cli, shop):
    before = len(shop.sandbox.ledger())
    said = cli(f"{ESTIMATE} --aoi {AOI_FILE}")
    assert said.code == 0
    assert "size          7.5615 km²" in said.lines
    assert "price         76 credits (0.76 EUR)" in said.lines
    assert cli(f"{ESTIMATE} --aoi {AOI_FILE} --json").json["summary"]["totalCredits"] == 76
    assert len(shop.sandbox.ledger()) == before


def test_estimate_of_an_aoi_of_several_parts_prices_each(cli, tmp_path):
    squares = [[[[x, 52.46], [x + 0.01, 52.46], [x + 0.01, 52.47], [x, 52.47], [x, 52.46]]] for x in (13.38, 13.40)]
    file = tmp_path / "two.geojson"
    file.write_text(json.dumps({"type": "MultiPolygon", "coordinates": squares}))
    assert [line["index"] for line in cli(f"{ESTIMATE} --aoi {file} --json").json["results"]] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (ESTIMATE, 2, "sold by area: give --aoi"),
        (f"{ESTIMATE} --aoi {AOI_FILE} --param colour=red", 1, "colour"),
        (f"{ESTIMATE} --aoi {AOI_FILE} --param colour", 2, "is no NAME=VALUE"),
        (ESTIMATE.replace("analytic", "nothing"), 1, "It has: analytic"),
    ],
)
def test_estimate_refuses_what_the_order_form_does_not_take(cli, arguments, code, words):
    said = cli(arguments)
    assert (said.code, said.stdout) == (code, "")
    assert words in said.stderr


def test_params_that_the_form_refuses_are_not_sent(cli):
    said = cli(f"{ESTIMATE} --aoi {AOI_FILE} --param colour=red --json")
    assert json.loads(said.stderr)["error"]["type"] == "InvalidParams"


def test_an_estimate_with_errors_fails_and_names_them(cli, tmp_path):
    file = tmp_path / "far.geojson"
    file.write_text(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1], [0, 0]]]}))
    said = cli(f"{ESTIMATE} --aoi {file}")
    assert said.code == 1
    assert said.stderr.startswith("error: area 1: ")
    assert "price" not in said.stdout
    assert cli(f"{ESTIMATE} --aoi {file} --json").json["errors"]
