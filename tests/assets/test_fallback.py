"""Deliveries that UP42 makes no STAC items of: from order to lake, through sensor and graph."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta

import pystac
import requests
from rio_cogeo.cogeo import cog_validate

from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import index
from up42_pipelines.ordering.watching import WatchCursor

DAY = "berlin|2026-06-01"
COLLECTION = "sandbox-optical"
AT_ONCE = timedelta(0)


def order(graph, wait_for, fate: str, *, deliveries: int = 1) -> list:
    """Buys the day's scene; what UP42 has in storage for it once the order is fulfilled."""
    requests.post(f"{graph.sandbox.url}/sandbox/fates", json={"kind": "order", "fate": fate}, timeout=10)
    assert graph.run(DAY, "scenes", "orders").success
    client = graph.sandbox.client()
    [placed] = graph.orders()
    wait_for(lambda: client.orders.get(placed["id"]).is_fulfilled)
    return wait_for(lambda: len(found := client.storage.assets.of_order(placed["id"])) == deliveries and found)


def transform(sandbox, asset_id: str, how: str) -> None:
    """Decide anew what becomes of a delivery; UP42 shows its items as soon as there are any."""
    with closing(sqlite3.connect(sandbox.state / "sandbox.sqlite")) as state, state:
        state.execute(
            "UPDATE deliveries SET content = json_set(content, '$.transformation', ?) WHERE asset_id = ?",
            (how, asset_id),
        )


def tick_until_settled(graph, wait_for) -> list:
    """Ticks as a daemon would, each run that is asked for carried out at once, until nothing is awaited."""
    ticks = []

    def settled():
        ticks.append(graph.tick(ticks[-1].cursor if ticks else None))
        for request in ticks[-1].run_requests:
            assert graph.job(graph.pipeline.deliver_job, partition_key=request.partition_key).success
        return not WatchCursor.parse(ticks[-1].cursor).awaited

    wait_for(settled, 60)
    return [request for tick in ticks for request in tick.run_requests]


def catalogue(graph) -> dict[str, pystac.Item]:
    """The items that readers find; catalogue, index and the value of `cogs` name the same."""
    found = pystac.Catalog.from_file(str(graph.lake / "catalog.json")).get_items(recursive=True)
    items = {item.id: item for item in found}
    value = json.loads((graph.lake / "assets" / "cogs" / "berlin" / "2026-06-01.json").read_text())
    assert {feature["id"] for feature in value["features"]} == set(items)
    assert set(index.digests(Lake(str(graph.lake)), COLLECTION)) == set(items)
    return items


def assert_lands_well(item: pystac.Item) -> None:
    item.validate_core = True
    cogs = [asset for asset in item.assets.values() if asset.media_type == pystac.MediaType.COG]
    assert cogs
    for asset in cogs:
        valid, errors, _ = cog_validate(asset.get_absolute_href(), quiet=True)
        assert valid, errors
        assert asset.extra_fields["file:checksum"].startswith("1220")
    assert item.geometry["type"] in ("Polygon", "MultiPolygon")


def downloads(sent) -> list[str]:
    return [target for method, target in sent if method == "POST" and target.endswith("/download-url")]


def test_what_up42_could_not_transform_is_unpacked_here(make_graph, sandbox, wait_for, check, sent):
    graph = make_graph(sandbox)
    [asset] = order(graph, wait_for, "untransformed")
    [request] = tick_until_settled(graph, wait_for)
    assert request.partition_key == DAY
    [item] = catalogue(graph).values()
    assert_lands_well(item)
    assert item.id == asset.id
    assert item.properties["up42-order:id"] == asset.order_id
    assert [link.rel for link in item.links].count("derived_from") == 1
    assert graph.metadata("stac_items", DAY)["items"].value == 1
    assert len(downloads(sent)) == 1

    again = graph.run(DAY)
    assert again.success
    for name in ("covers_the_promised_area", "delivery_is_complete", "bands_as_ordered"):
        passed, shown = check(again, name)
        assert passed, shown
    assert check(again, "covers_the_promised_area")[1]["measured"][asset.id]["covered_percent"] > 95
    assert len(downloads(sent)) == 1
    assert graph.metadata("cogs", DAY)["bytes_fetched"].value == 0
    assert len(graph.orders()) == 1


def test_up42_is_given_time_and_items_that_come_later_are_the_same_pixels_again(
    make_graph, sandbox, wait_for, sent, capsys
):
    patient = make_graph(sandbox)
    [asset] = order(patient, wait_for, "unfinished")
    tick = patient.tick()
    assert not tick.run_requests
    assert list(WatchCursor.parse(tick.cursor).awaited) == [asset.order_id]
    assert patient.run(DAY).success
    assert not patient.is_materialized("stac_items", DAY)
    assert "Waiting for UP42: skipped" in capsys.readouterr().err

    graph = make_graph(sandbox, name=patient.pipeline.name, transformation_patience=AT_ONCE)
    assert len(tick_until_settled(graph, wait_for)) == 1
    [item] = catalogue(graph).values()
    assert_lands_well(item)
    assert item.id == asset.id
    assert len(downloads(sent)) == 1

    transform(sandbox, asset.id, "succeeds")
    [of_up42] = wait_for(lambda: sandbox.client().storage.items_of_order(asset.order_id))
    assert of_up42.id != asset.id
    for later in (graph, patient):  # whatever the patience, what has been unpacked stays
        assert later.run(DAY).success
        assert later.metadata("cogs", DAY)["bytes_fetched"].value == 0
        assert list(catalogue(graph)) == [asset.id]
    assert len(downloads(sent)) == 1
    assert len(graph.orders()) == 1

    another = make_graph(sandbox, name=patient.pipeline.name, lake=graph.lake.with_name("another"))
    assert another.run(DAY).success
    assert list(catalogue(another)) == [of_up42.id]


def test_one_part_is_transformed_and_the_other_is_not(make_graph, sandbox, wait_for, check, sent):
    graph = make_graph(sandbox)
    first, second = sorted(order(graph, wait_for, "in_parts", deliveries=2), key=lambda asset: asset.id)
    transform(sandbox, first.id, "fails")
    [of_up42] = wait_for(lambda: sandbox.client().storage.items_of_order(first.order_id))
    tick_until_settled(graph, wait_for)
    items = catalogue(graph)
    assert set(items) == {first.id, of_up42.id}
    assert of_up42.properties["up42-system:asset_id"] == second.id
    for item in items.values():
        assert_lands_well(item)
    result = graph.run(DAY)
    passed, shown = check(result, "covers_the_promised_area")
    assert passed
    # nobody said which part of the order is in the archive, so nothing was promised for it
    assert list(shown["measured"]) == [of_up42.id]
    assert check(result, "delivery_is_complete")[0]
    assert len(graph.orders()) == 1
    signed = downloads(sent)
    assert len(signed) == len(set(signed))
