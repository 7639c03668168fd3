"""Landsat Collection 1 and 2, levels 1 and 2: a GeoTIFF per band, and the MTL file."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from up42_pipelines.lake.products import values
from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, problem, resolve, some
from up42_pipelines.lake.products.documents import read_bytes, read_head
from up42_pipelines.lake.products.records import Band, Member, Product, ProductRaster, SceneFacts

_MTL_SIGNS = (b"L1_METADATA_FILE", b"LANDSAT_METADATA_FILE")
_LINE = re.compile(r'\s*([A-Z0-9_]+)\s*=\s*"?([^"]*)"?\s*')
# USGS, "What are the band designations for the Landsat satellites?"; common names of STAC eo 2.0.0.
_OLI_TIRS = {
    "B1": "coastal",
    "B2": "blue",
    "B3": "green",
    "B4": "red",
    "B5": "nir08",
    "B6": "swir16",
    "B7": "swir22",
    "B8": "pan",
    "B9": "cirrus",
    "B10": "lwir11",
    "B11": "lwir12",
}
_TM_ETM = {
    "B1": "blue",
    "B2": "green",
    "B3": "red",
    "B4": "nir08",
    "B5": "swir16",
    "B6": "lwir",
    "B7": "swir22",
    "B8": "pan",
}
_BAND = re.compile(r"(?:(?:SR|ST)_)?(B\d{1,2})(?:_VCID_[12])?")
_MASK = re.compile(r"BQA|.*QA.*")


def recognise_landsat(delivery: Delivery, free: frozenset[PurePosixPath]) -> list[Recognised]:
    """A product per `*_MTL.txt`.

    Raises:
        InvalidDelivery: an MTL file is absurdly large.
    """
    return [
        _product(delivery, member)
        for member in delivery.members
        if member.name in free
        and member.name.name.upper().endswith("_MTL.TXT")
        and any(sign in read_head(member) for sign in _MTL_SIGNS)
    ]


def _product(delivery: Delivery, mtl: Member) -> Recognised:
    fields = parse_mtl(read_bytes(mtl).decode("utf-8", "replace"))
    name = values.text(fields.get("LANDSAT_PRODUCT_ID")) or mtl.name.name.removesuffix("_MTL.txt")
    folder = mtl.name.parent
    listed = [value for key, value in fields.items() if key.startswith("FILE_NAME_") and value.upper().endswith(".TIF")]
    problems, rasters, missing, claimed = [], [], [], set()
    for href in dict.fromkeys(listed):
        path = resolve(folder, href)
        member = None if path is None else delivery.get(path)
        if path is None:
            problems.append(problem("hostile", mtl, f"it refers to {href[:80]!r}, out of the delivery"))
        elif member is None:
            missing.append(path.name)
        elif delivery.raster_format(member) is None:
            problems.append(problem("corrupt", member, "the MTL file calls it a TIFF, and it is none"))
        else:
            claimed |= {path} | {side_car.name for side_car in delivery.side_cars(member)}
            rasters.append(_raster(delivery, member, name, fields))
    if missing:
        # The MTL file lists the scene; USGS hands out single bands of it as well.
        problems.append(
            problem("warning", mtl, f"{len(missing)} bands of the scene are not delivered: {some(missing)}")
        )
    return Recognised(
        product=Product(
            kind="landsat",
            name=name,
            rasters=tuple(rasters),
            facts=scene_facts(fields),
            problems=tuple(problems),
        ),
        folder=folder,
        claimed=frozenset(claimed),
    )


def parse_mtl(text: str) -> dict[str, str]:
    """The fields of an MTL file (ODL) without their groups. Pure.

    Level 2 has the record of the level 1 that it was made from, with the names of files that it does not have.
    """
    fields: dict[str, str] = {}
    groups: list[str] = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        name, value = match[1], match[2].strip()
        if name == "GROUP":
            groups.append(value)
        elif name == "END_GROUP":
            del groups[-1:]
        elif "LEVEL1_PROCESSING_RECORD" not in groups:
            fields[name] = value
    return fields


def scene_facts(fields: dict[str, str]) -> SceneFacts:
    """Facts from the fields of an MTL file. Pure."""
    number = fields.get("SPACECRAFT_ID", "").rpartition("_")[2]
    corners = [
        (fields.get(f"CORNER_{corner}_LON_PRODUCT"), fields.get(f"CORNER_{corner}_LAT_PRODUCT"))
        for corner in ("UL", "UR", "LR", "LL")
    ]
    sensor = fields.get("SENSOR_ID", "").lower()
    cloud = values.number(fields.get("CLOUD_COVER"), 0, 100)  # -1 where it was not assessed
    return SceneFacts(
        datetime=values.utc(f"{fields.get('DATE_ACQUIRED')}T{fields.get('SCENE_CENTER_TIME', '')}"),
        platform=f"landsat-{number}" if number.isdecimal() and len(number) == 1 else None,
        constellation="landsat",
        instruments=tuple(part for part in sensor.split("_") if part),
        gsd_m=values.gsd_m(fields.get("GRID_CELL_SIZE_REFLECTIVE")),
        cloud_cover_percent=cloud,
        sun_azimuth_deg=values.azimuth(fields.get("SUN_AZIMUTH")),
        sun_elevation_deg=values.elevation(fields.get("SUN_ELEVATION")),
        processing_level=values.text(fields.get("PROCESSING_LEVEL") or fields.get("DATA_TYPE")),
        footprint_4326=values.footprint(corners),
        bands=tuple(Band(name=name, common_name=common) for name, common in _table(fields).items()),
    )


def _table(fields: dict[str, str]) -> dict[str, str]:
    """The bands of the sensor that this scene lists; none of sensors that are not known here (MSS)."""
    sensor = fields.get("SENSOR_ID", "")
    table = _OLI_TIRS if sensor.startswith(("OLI", "TIRS")) else _TM_ETM if sensor.startswith(("TM", "ETM")) else {}
    stems = [PurePosixPath(value).stem for key, value in fields.items() if key.startswith("FILE_NAME_BAND_")]
    listed = {match[1] for stem in stems if (match := re.search(r"_(B\d{1,2})(?:_VCID_\d)?$", stem))}
    return {name: common for name, common in table.items() if name in listed}


def _raster(delivery: Delivery, member: Member, product: str, fields: dict[str, str]) -> ProductRaster:
    key = member.name.stem.removeprefix(product).lstrip("_") or member.name.stem
    match, common = _BAND.fullmatch(key), _table(fields)
    band = Band(name=match[1], common_name=common.get(match[1])) if match is not None else None
    size = "PANCHROMATIC" if band is not None and band.common_name == "pan" else "REFLECTIVE"
    if band is not None and (band.common_name or "").startswith("lwir"):
        size = "THERMAL"
    return ProductRaster(
        key=asset_key(key),
        source=delivery.source(member),
        roles=("data-mask",) if _MASK.fullmatch(key) else ("data",),
        bands=() if band is None else (band,),
        gsd_m=values.gsd_m(fields.get(f"GRID_CELL_SIZE_{size}")),
        title=key,
    )
