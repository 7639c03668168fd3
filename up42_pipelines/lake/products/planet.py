"""Planet orders: a manifest with the checksums of all files, and per item images, masks and metadata."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.products import values
from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, file_digest, problem, resolve
from up42_pipelines.lake.products.documents import read_head, read_json
from up42_pipelines.lake.products.merging import merge_facts
from up42_pipelines.lake.products.records import Band, Member, Problem, Product, ProductRaster, SceneFacts

_BANDS_OF_4 = (("blue", "blue"), ("green", "green"), ("red", "red"), ("nir", "nir"))
_BANDS_OF_8 = (
    ("coastal_blue", "coastal"),
    ("blue", "blue"),
    ("green_i", "green05"),
    ("green", "green"),
    ("yellow", "yellow"),
    ("red", "red"),
    ("rededge", "rededge071"),
    ("nir", "nir"),
)
_BANDS_OF_RGB = (("red", "red"), ("green", "green"), ("blue", "blue"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A file of a manifest.

    Attributes:
        path: in the delivery.
        digests: hexadecimal, by algorithm.
        item_id: Planet's name of the scene; empty when the manifest does not tell.
        item_type: for example `PSScene`.
        asset_type: for example `ortho_analytic_4b`.
    """

    path: PurePosixPath
    digests: dict[str, str]
    item_id: str
    item_type: str
    asset_type: str


def recognise_planet(delivery: Delivery, free: frozenset[PurePosixPath]) -> list[Recognised]:
    """A product per item of each `manifest.json`.

    Raises:
        InvalidDelivery: a manifest cannot be read.
    """
    found = []
    for member in delivery.members:
        if member.name in free and member.name.name == "manifest.json" and b'"digests"' in read_head(member):
            found += _products(delivery, member)
    return found


def _products(delivery: Delivery, manifest: Member) -> list[Recognised]:
    document = read_json(manifest)
    entries = document.get("files") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InvalidDelivery(f"{manifest.name} has no list of files.")
    by_item: defaultdict[str, list[_Listed]] = defaultdict(list)
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    for entry in entries:
        listed = _listed(manifest, entry)
        if isinstance(listed, Problem):
            problems[""].append(listed)
            continue
        by_item[listed.item_id].append(listed)
        if (wrong := _check(delivery, listed)) is not None:
            problems[listed.item_id].append(wrong)
    return [
        _product(delivery, manifest, item_id, by_item[item_id], problems[item_id])
        for item_id in sorted({*by_item, *problems})
    ]


def _product(
    delivery: Delivery, manifest: Member, item_id: str, files: list[_Listed], problems: list[Problem]
) -> Recognised:
    found = [(listed, member) for listed in files if (member := delivery.get(listed.path)) is not None]
    faulty = {one.subject for one in problems}
    rasters = [
        _raster(delivery, member, listed)
        for listed, member in found
        if delivery.raster_format(member) is not None and str(member.name) not in faulty
    ]
    side_cars = {one.name for _, member in found for one in delivery.side_cars(member)}
    facts = [scene_facts(read_json(member)) for _, member in found if member.name.name.endswith("_metadata.json")]
    return Recognised(
        product=Product(
            kind="planet",
            name=item_id or manifest.name.parent.name or "planet",
            rasters=tuple(rasters),
            facts=merge_facts(facts),
            problems=tuple(problems),
        ),
        folder=manifest.name.parent,
        claimed=frozenset({member.name for _, member in found if delivery.raster_format(member)} | side_cars),
    )


def _listed(manifest: Member, entry: Any) -> _Listed | Problem:
    href = entry.get("path") if isinstance(entry, dict) else None
    path = resolve(manifest.name.parent, href) if isinstance(href, str) else None
    if path is None:
        return problem("hostile", manifest, f"it refers to {str(href)[:80]!r}, out of the delivery")
    digests, annotations = entry.get("digests"), entry.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    return _Listed(
        path=path,
        digests={name: str(value).lower() for name, value in digests.items()} if isinstance(digests, dict) else {},
        item_id=values.text(annotations.get("planet/item_id")) or "",
        item_type=values.text(annotations.get("planet/item_type")) or "",
        asset_type=values.text(annotations.get("planet/asset_type")) or "",
    )


def _check(delivery: Delivery, listed: _Listed) -> Problem | None:
    member = delivery.get(listed.path)
    if member is None:
        return problem("incomplete", listed.path, "the manifest lists it, and it was not delivered")
    algorithm = next((name for name in ("sha256", "md5") if name in listed.digests), None)
    if algorithm is not None and file_digest(member, algorithm) != listed.digests[algorithm]:
        return problem("corrupt", listed.path, f"its {algorithm} is not that of the manifest")
    return None


def _raster(delivery: Delivery, member: Member, listed: _Listed) -> ProductRaster:
    stem = member.name.stem
    suffix = stem.removeprefix(listed.item_id).lstrip("_") if listed.item_id else stem
    mask = re.search(r"udm2?(?:_clip)?$", suffix, re.IGNORECASE) is not None
    visual = "visual" in suffix.lower()
    return ProductRaster(
        key=asset_key(listed.asset_type or _key(suffix) or stem),
        source=delivery.source(member),
        roles=("data-mask",) if mask else ("visual",) if visual else ("data",),
        bands=() if mask else bands_of(suffix, listed.item_type, listed.asset_type),
        title=suffix or stem,
    )


def _key(suffix: str) -> str:
    """`3B_AnalyticMS_SR_clip` -> `analytic_sr`: the words of Planet's own asset types."""
    words = re.sub(r"^[0-9][AB]_", "", suffix, flags=re.IGNORECASE).lower().removesuffix("_clip")
    words = re.sub(r"analyticms(_dn)?", "analytic", words)
    return "udm" if words == "analytic_udm" else words


def bands_of(suffix: str, item_type: str, asset_type: str) -> tuple[Band, ...]:
    """Bands in the order of Planet's product specifications; empty when their number is not told. Pure."""
    words = f"{suffix} {asset_type}".lower()
    if "visual" in words:
        known: tuple[tuple[str, str], ...] = _BANDS_OF_RGB
    elif "8b" in words:
        known = _BANDS_OF_8
    elif "analytic" in words and ("4b" in words or item_type == "PSScene4Band"):
        known = _BANDS_OF_4
    else:
        known = ()
    return tuple(Band(name=name, common_name=common) for name, common in known)


def scene_facts(item: Any) -> SceneFacts:
    """Facts from an item's metadata, as Planet's Data API or as STAC words them. Pure."""
    found = item.get("properties") if isinstance(item, dict) else None
    properties: dict[str, Any] = found if isinstance(found, dict) else {}
    fraction = values.number(properties.get("cloud_cover"), 0, 1)
    instruments = properties.get("instruments")
    names = instruments if isinstance(instruments, list) else [properties.get("instrument")]
    view = properties.get("view:off_nadir", properties.get("view_angle"))
    return SceneFacts(
        datetime=values.utc(properties.get("datetime") or properties.get("acquired")),
        platform=values.text(properties.get("platform") or properties.get("satellite_id")),
        constellation=values.text(properties.get("constellation") or properties.get("provider")),
        instruments=tuple(name.lower() for one in names if (name := values.text(one)) is not None),
        gsd_m=values.gsd_m(properties.get("gsd")),
        cloud_cover_percent=values.percent(
            properties.get("eo:cloud_cover", None if fraction is None else fraction * 100)
        ),
        off_nadir_deg=values.angle(view),
        view_azimuth_deg=values.azimuth(properties.get("satellite_azimuth")),
        sun_azimuth_deg=values.azimuth(properties.get("view:sun_azimuth", properties.get("sun_azimuth"))),
        sun_elevation_deg=values.elevation(properties.get("view:sun_elevation", properties.get("sun_elevation"))),
        footprint_4326=values.footprint_of_geojson(item.get("geometry") if isinstance(item, dict) else None),
    )
