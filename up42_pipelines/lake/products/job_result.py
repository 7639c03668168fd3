"""Results of UP42's processing: `data.json`, whose features name a raster each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from up42_pipelines.lake.products import values
from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, problem, resolve
from up42_pipelines.lake.products.documents import read_bytes, read_json
from up42_pipelines.lake.products.merging import merge_facts
from up42_pipelines.lake.products.records import Member, Product, ProductRaster, SceneFacts

_DATA_PATH = "up42.data_path"


def recognise_job_result(delivery: Delivery, free: frozenset[PurePosixPath]) -> list[Recognised]:
    """A product per `data.json` that names rasters.

    Raises:
        InvalidDelivery: such a file cannot be read.
    """
    return [
        _product(delivery, member)
        for member in delivery.members
        if member.name in free and member.name.name == "data.json" and _DATA_PATH.encode() in read_bytes(member)
    ]


def _product(delivery: Delivery, member: Member) -> Recognised:
    document, folder = read_json(member), member.name.parent
    features = document.get("features") if isinstance(document, dict) else None
    rasters, problems, claimed, facts = [], [], set(), []
    for feature in features if isinstance(features, list) else []:
        properties = feature.get("properties") if isinstance(feature, dict) else None
        href = properties.get(_DATA_PATH) if isinstance(properties, dict) else None
        if href is None:
            continue
        path = resolve(folder, href) if isinstance(href, str) else None
        image = None if path is None else delivery.get(path)
        if path is None:
            problems.append(problem("hostile", member, f"it refers to {str(href)[:80]!r}, out of the delivery"))
        elif image is None:
            problems.append(problem("incomplete", path, f"{member.name.name} lists it, and it was not delivered"))
        elif delivery.raster_format(image) is not None and path not in claimed:
            claimed |= {path} | {side_car.name for side_car in delivery.side_cars(image)}
            rasters.append(ProductRaster(key=asset_key(image.name.stem), source=delivery.source(image)))
            facts.append(scene_facts(feature))
    return Recognised(
        product=Product(
            kind="up42-job",
            name=folder.name or "output",
            rasters=tuple(rasters),
            facts=merge_facts(facts),
            problems=tuple(problems),
        ),
        folder=folder,
        claimed=frozenset(claimed),
    )


def scene_facts(feature: dict[str, Any]) -> SceneFacts:
    """Facts from a feature's properties, which are those of the scene that was processed. Pure."""
    properties = feature["properties"]
    acquisition, production = _object(properties, "acquisition"), _object(properties, "production")
    begin, end = _epoch_ms(acquisition.get("beginViewingDate")), _epoch_ms(acquisition.get("endViewingDate"))
    platform, sensor = values.text(acquisition.get("missionName")), values.text(acquisition.get("sensorId"))
    direction = str(_object(properties, "orbit").get("direction")).lower()
    return SceneFacts(
        datetime=_epoch_ms(acquisition.get("centerViewingDate")) or begin,
        start_datetime=begin if begin and end and end > begin else None,
        end_datetime=end if begin and end and end > begin else None,
        platform=platform.lower() if platform else None,
        constellation=values.text(acquisition.get("mission")),
        instruments=(sensor.lower(),) if sensor else (),
        cloud_cover_percent=values.percent(_object(properties, "contentDescription").get("cloudCoverPercentage")),
        processing_level=values.text(production.get("levelCode")),
        footprint_4326=values.footprint_of_geojson(feature.get("geometry")),
        orbit_state=direction if direction in {"ascending", "descending"} else None,
    )


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _epoch_ms(value: object) -> datetime | None:
    """Milliseconds since 1970 as UTC, to the year 2200."""
    milliseconds = values.number(value, 0, 7.3e12)
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
