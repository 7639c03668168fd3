"""The checks of `cogs` through Dagster: what they show, and what they keep out of catalogue, index and value."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import dagster as dg
import pytest
import requests
from shapely.geometry import box, mapping

from up42_pipelines.assets.stac_items import ORDERED_AREAS
from up42_pipelines.lake import Check, DeliveryRules, Lake, LandingOptions, Severity
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.transfer.patience import Patience

DAY = "berlin|2026-06-01"
COLLECTION = "sandbox-optical"
VERIFIED_BY, LEFT_OUT = "up42-pipelines:verified_by", "up42-pipelines:left_out"
BAD_RULES = {
    Check.COVERAGE: {"min_coverage_percent": 101},
    Check.BANDS: {"bands": (1, 3)},
    Check.NODATA: {"max_nodata_percent": -1},
    Check.CLOUD: {"max_cloud_cover_percent": -1},
    Check.CHECKSUM: {},
    Check.COMPLETE: {},
}
TOLD = {
    Check.COVERAGE: "At least 101 % were expected.",
    Check.BANDS: "has 4 band(s), not 1 or 3.",
    Check.NODATA: "are nodata; at most -1 % are accepted.",
    Check.CLOUD: "At most -1 % were ordered.",
    Check.CHECKSUM: "the server gave no checksum.",
    Check.COMPLETE: "meta is not in the lake: It is no JSON.",
}


def rules(check: Check | None = None, severity: Severity = Severity.ERROR) -> LandingOptions:
    """Options under which a check fails."""
    if check is None:
        return LandingOptions()
    return LandingOptions(rules=DeliveryRules(severities={check: severity}, **BAD_RULES[check]))


@pytest.fixture(scope="module")
def kept_lake(tmp_path_factory):
    return tmp_path_factory.mktemp("two_items") / "lake"


@pytest.fixture
def landed(make_graph, sandbox, wait_for, kept_lake, tmp_path):
    """`landed(options)`: a graph, on a lake of its own that holds an order which came as two items."""

    def graph(options: LandingOptions | None = None):
        return make_graph(sandbox, name="checks_of_cogs", lake=tmp_path / "lake", landing=options or LandingOptions())

    if not kept_lake.exists():
        order_in_parts(graph(), wait_for)
        assert graph().run(DAY, "stac_items", "cogs").success
        shutil.copytree(tmp_path / "lake", kept_lake)
    else:
        shutil.copytree(kept_lake, tmp_path / "lake")
    return graph


def order_in_parts(graph, wait_for) -> list[str]:
    """Buys the day's scene; ids of the two items it comes as, when they are there."""
    requests.post(f"{graph.sandbox.url}/sandbox/fates", json={"kind": "order", "fate": "in_parts"}, timeout=10)
    assert graph.run(DAY, "scenes", "orders").success
    client = graph.sandbox.client()
    [(order, _)] = graph.pipeline.orders_of(client, DAY)
    items = wait_for(lambda: len(found := client.storage.items_of_order(order.id)) == 2 and found)
    wait_for(lambda: client.orders.get(order.id).is_fulfilled)
    return sorted(item.id for item in items)


def mark(graph, item_id, *, withheld=False):
    return graph.lake / "collections" / COLLECTION / item_id / f"{item_id}{'.withheld' * withheld}.json"


def change(graph, item_id) -> None:
    """What the lake knows about an item: nothing but its length was verified, and a file was left out."""
    document = json.loads(mark(graph, item_id).read_text())
    for asset in document["assets"].values():
        if VERIFIED_BY in asset:
            asset[VERIFIED_BY] = "length"
    document["properties"][LEFT_OUT] = {"meta": "It is no JSON."}
    mark(graph, item_id).write_text(json.dumps(document))


def shown_to_readers(graph) -> tuple[set[str], set[str], set[str]]:
    """Ids of the items in the catalogue, in the index, and in the value of `cogs`."""
    collection = json.loads((graph.lake / "collections" / COLLECTION / "collection.json").read_text())
    linked = {link["href"].split("/")[1] for link in collection["links"] if link["rel"] == "item"}
    value = json.loads((graph.lake / "assets" / "cogs" / "berlin" / "2026-06-01.json").read_text())
    indexed = set(index.digests(Lake(str(graph.lake)), COLLECTION))
    return linked, indexed, {feature["id"] for feature in value["features"]}


def evaluations(result) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations() if one.check_name in set(Check)}


def item_ids(graph) -> list[str]:
    return sorted(
        path.name for path in (graph.lake / "collections" / COLLECTION).iterdir() if mark(graph, path.name).exists()
    )


def test_a_good_delivery_passes_every_check_also_when_it_comes_in_parts(landed):
    graph = landed()
    result = graph.run(DAY, "cogs")
    assert result.success
    found = evaluations(result)
    assert set(found) == set(Check)
    first, second = item_ids(graph)
    for one in found.values():
        assert one.passed, one
        assert (one.partition, one.description, one.metadata["items_checked"].value) == (DAY, "2 item(s) passed.", 2)
        # evaluated on what this run has made, so the page of the asset shows it beside that
        assert one.target_materialization_data.run_id == result.run_id
    shares = found[Check.COVERAGE].metadata["measured"].data
    assert {item_id: share["covered_percent"] > 95 for item_id, share in shares.items()} == {first: True, second: True}
    assert shown_to_readers(graph) == ({first, second},) * 3
    assert graph.metadata("cogs", DAY)["items_withheld"].value == 0


@pytest.mark.parametrize("check", list(BAD_RULES))
def test_a_failed_check_is_told_and_an_error_withholds_until_the_rules_change(landed, explain, sent, check):
    graph = landed()
    first, second = item_ids(graph)
    for item_id in (first, second):
        change(graph, item_id)

    failed = landed(rules(check, Severity.ERROR)).run(DAY, "cogs")
    assert "Every item fails a check and is withheld" in explain(failed, "cogs")
    assert TOLD[check] in explain(failed, "cogs")
    linked, indexed, value = shown_to_readers(graph)
    assert (linked, indexed) == (set(), set())
    assert value == {first, second}  # of the run before: this one has none
    for item_id in (first, second):
        assert not mark(graph, item_id).exists()
        withheld = json.loads(mark(graph, item_id, withheld=True).read_text())
        assert set(withheld["properties"]["up42-pipelines:withheld"]) == {check}
        assert all((mark(graph, item_id).parent / asset["href"]).is_file() for asset in withheld["assets"].values())

    warned = landed(rules(check, Severity.WARN)).run(DAY, "cogs")
    assert warned.success
    assert shown_to_readers(graph) == ({first, second},) * 3
    assert not mark(graph, first, withheld=True).exists()
    assert sent == []

    for result, severity in ((warned, dg.AssetCheckSeverity.WARN), (failed, dg.AssetCheckSeverity.ERROR)):
        one = evaluations(result)[check]
        assert (one.passed, one.severity, one.partition) == (False, severity, DAY)
        assert one.description.startswith(f"{first}: ")
        assert TOLD[check] in one.description
        assert [row.data["passed"] for row in one.metadata["items"].records] == [False, False]
        assert one.metadata["items_failed"].value == 2


def test_one_bad_item_is_kept_from_what_comes_after_and_the_other_is_not(landed):
    graph = landed(rules(Check.CHECKSUM))
    first, second = item_ids(graph)
    change(graph, second)
    result = graph.run(DAY, "cogs")
    assert result.success
    assert shown_to_readers(graph) == ({first},) * 3
    checksum = evaluations(result)[Check.CHECKSUM]
    assert [(row.data["item"], row.data["passed"]) for row in checksum.metadata["items"].records] == [
        (second, False),
        (first, True),
    ]
    metadata = graph.metadata("cogs", DAY)
    assert (metadata["items"].value, metadata["items_withheld"].value) == (1, 1)
    states = {row.data["item"]: row.data["state"] for row in metadata["table"].records}
    assert states == {first: "in the catalogue", second: "withheld"}


def test_a_partition_that_passes_does_not_hide_one_that_failed(landed):
    graph = landed(rules(Check.BANDS))
    other = "berlin|2026-06-02"
    (graph.lake / "assets" / "stac_items" / "berlin" / "2026-06-02.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": []})
    )
    assert not graph.run(DAY, "cogs").success
    assert graph.run(other, "cogs").success  # afterwards, and with nothing to find fault with
    key = dg.AssetCheckKey(graph.pipeline.key("cogs"), Check.BANDS)
    shown = {
        one.partition_key: one.latest_execution_status.value
        for one in graph.instance.event_log_storage.get_asset_check_partition_info([key])
    }
    assert shown == {DAY: "FAILED", other: "SUCCEEDED"}


def test_what_up42_announces_beyond_the_order_was_not_promised(landed):
    graph = landed()
    first, _ = item_ids(graph)
    path = graph.lake / "assets" / "stac_items" / "berlin" / "2026-06-01.json"
    value = json.loads(path.read_text())
    [order_id] = value[ORDERED_AREAS]
    [feature] = [one for one in value["features"] if one["id"] == first]
    value[ORDERED_AREAS][order_id] = feature["geometry"]
    feature["geometry"] = mapping(box(13, 52, 14, 53))
    path.write_text(json.dumps(value))
    coverage = evaluations(graph.run(DAY, "cogs"))[Check.COVERAGE]
    assert coverage.passed, coverage.description
    assert coverage.metadata["measured"].data[first]["covered_percent"] > 95


class TestNotLanded:
    @pytest.fixture
    def ordered(self, make_graph, sandbox, wait_for):
        """A graph that is not patient with bad files, and the ids of the two items that wait for it."""
        graph = make_graph(sandbox, landing=LandingOptions(patience=Patience(attempts=1, first_pause_s=0)))
        return graph, order_in_parts(graph, wait_for)

    def spoil(self, graph, item_id, *, keep_checksum: bool):
        """Put something else in the place of an item's raster; gives back what puts it back."""
        client = graph.sandbox.client()
        [(order, _)] = graph.pipeline.orders_of(client, DAY)
        [item] = [one for one in client.storage.items_of_order(order.id) if one.id == item_id]
        href = next(asset.href for asset in item.assets.values() if "data" in asset.roles)
        assert requests.get(client.storage.assets.download_url(href), timeout=10).ok  # the sandbox renders it now
        file_id = href.rsplit("/", 1)[1]
        state = graph.sandbox.state
        [path] = [path for path in (state / "files").rglob("*") if path.stem == file_id]
        good = path.read_bytes()
        with closing(sqlite3.connect(state / "sandbox.sqlite")) as database, database:
            columns = "size, md5, crc32c"
            known = database.execute(f"SELECT {columns} FROM files WHERE id = ?", (file_id,)).fetchone()

        def write(content, facts):
            path.write_bytes(content)
            with closing(sqlite3.connect(state / "sandbox.sqlite")) as database, database:
                database.execute("UPDATE files SET size = ?, md5 = ?, crc32c = ? WHERE id = ?", (*facts, file_id))

        page = b"<html>please log in</html>"
        write(page + bytes(len(good) - len(page)), known if keep_checksum else (None, None, None))
        return lambda: write(good, known)

    @pytest.mark.parametrize(
        ("keep_checksum", "failing", "reason"),
        [
            (False, {Check.READABLE: dg.AssetCheckSeverity.ERROR, Check.COMPLETE: dg.AssetCheckSeverity.WARN}, "TIFF"),
            (True, {Check.COMPLETE: dg.AssetCheckSeverity.WARN}, "crc32c"),
        ],
        ids=["unreadable", "damaged on the way"],
    )
    def test_what_cannot_be_landed_fails_its_check_while_the_others_land(
        self, ordered, explain, shown_by_failure, keep_checksum, failing, reason
    ):
        graph, (first, second) = ordered
        mend = self.spoil(graph, first, keep_checksum=keep_checksum)
        result = graph.run(DAY, "stac_items", "cogs")
        assert "1 of 2 items were not landed" in explain(result, "cogs")
        assert reason in explain(result, "cogs")
        found = evaluations(result)
        assert {name: one.severity for name, one in found.items() if not one.passed} == failing
        for name in failing:
            assert reason in found[name].description
            assert [row.data["item"] for row in found[name].metadata["items"].records] == [first, second]
        assert found[Check.BANDS].metadata["items_checked"].value == 1
        assert item_ids(graph) == [second]
        published = [path.name for path in mark(graph, first).parent.glob("*") if not path.name.startswith(".")]
        assert published == []  # hidden is what has arrived so far
        assert (shown_by_failure(result, "cogs")["items"], shown_by_failure(result, "cogs")["items_failed"]) == (1, 1)

        mend()
        again = graph.run(DAY, "cogs")
        assert again.success
        assert all(one.passed for one in evaluations(again).values())
        assert shown_to_readers(graph) == ({first, second},) * 3

    def test_an_asset_that_is_gone_from_up42_keeps_no_other_item(self, ordered, explain):
        graph, (first, second) = ordered
        assert graph.run(DAY, "stac_items").success
        path = graph.lake / "assets" / "stac_items" / "berlin" / "2026-06-01.json"
        value = json.loads(path.read_text())
        for asset in next(one for one in value["features"] if one["id"] == first)["assets"].values():
            asset["href"] = f"{asset['href'].rpartition('/')[0]}/00000000-0000-4000-8000-000000000000"
        path.write_text(json.dumps(value))
        result = graph.run(DAY, "cogs")
        assert "1 of 2 items were not landed" in explain(result, "cogs")
        assert "404" in explain(result, "cogs")
        assert item_ids(graph) == [second]
