"""Sentinel-2 L1C and L2A in the SAFE format: one JPEG 2000 per band."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from up42_pipelines.lake.products import values
from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, file_digest, problem, resolve, some
from up42_pipelines.lake.products.documents import media_type, read_xml, text_of
from up42_pipelines.lake.products.records import (
    Band,
    Document,
    Member,
    Problem,
    Product,
    ProductRaster,
    SceneFacts,
)

_METADATA = re.compile(r"MTD_MSIL(1C|2A)\.xml")
# T56JMM_20180629T000241_B04.jp2, and in L2A ..._B04_10m.jp2
_IMAGE = re.compile(r".*_(B\d\d|B8A|TCI|AOT|WVP|SCL)(?:_(\d\d)m)?\.jp2", re.IGNORECASE)
# Sentinel-2 Products Specification Document, table of spectral bands; common names of STAC eo 2.0.0.
_COMMON_NAMES = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge071",
    "B06": "rededge075",
    "B07": "rededge078",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
_GSD_M = {"B02": 10.0, "B03": 10.0, "B04": 10.0, "B08": 10.0, "TCI": 10.0, "B01": 60.0, "B09": 60.0, "B10": 60.0}
_GSD_M_OF_OTHERS = 20.0
_DOCUMENTS = {
    "manifest.safe": "safe_manifest",
    "INSPIRE.xml": "inspire_metadata",
    "MTD_TL.xml": "granule_metadata",
    "MTD_DS.xml": "datastrip_metadata",
}
_CHECKSUMS = {"MD5": "md5", "SHA3-256": "sha3_256", "SHA-256": "sha256"}


def recognise_safe(delivery: Delivery, free: frozenset[PurePosixPath]) -> list[Recognised]:
    """A product per MTD_MSIL1C.xml or MTD_MSIL2A.xml.

    Raises:
        InvalidDelivery: its metadata or manifest are damaged or hostile XML.
    """
    return [
        _product(delivery, member)
        for member in delivery.members
        if member.name in free and _METADATA.fullmatch(member.name.name)
    ]


def _product(delivery: Delivery, metadata: Member) -> Recognised:
    folder, root = metadata.name.parent, read_xml(metadata)
    members = delivery.under(folder)
    tile = next((member for member in members if member.name.name == "MTD_TL.xml"), None)
    manifest = delivery.get(folder / "manifest.safe")
    rasters, previews = _rasters(delivery, members, root)
    problems = _image_problems(delivery, metadata, root)
    if manifest is not None:
        problems += _manifest_problems(delivery, manifest)
    return Recognised(
        product=Product(
            kind="safe",
            name=folder.name or metadata.name.stem,
            rasters=tuple(rasters),
            documents=tuple(previews + _documents(members, metadata)),
            facts=scene_facts(root, None if tile is None else read_xml(tile)),
            problems=tuple(problems),
        ),
        folder=folder,
        claimed=frozenset(member.name for member in members),
    )


def scene_facts(root: Element, tile: Element | None) -> SceneFacts:
    """Facts from the metadata of the user product, and of its tile when that is there. Pure."""
    info = "General_Info/Product_Info"
    start = values.utc(text_of(root, f"{info}/PRODUCT_START_TIME"))
    end = values.utc(text_of(root, f"{info}/PRODUCT_STOP_TIME"))
    sensed = None if tile is None else values.utc(text_of(tile, "General_Info/SENSING_TIME"))
    positions = (
        text_of(root, "Geometric_Info/Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST")
    ) or ""
    numbers = positions.split()
    sun, view = "Geometric_Info/Tile_Angles/Mean_Sun_Angle", "Geometric_Info/Tile_Angles"
    zenith = None if tile is None else values.number(text_of(tile, f"{sun}/ZENITH_ANGLE"), 0, 180)
    incidences = (
        []
        if tile is None
        else [
            angle
            for one in tile.iterfind(f"{view}/Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle")
            if (angle := values.angle(one.findtext("ZENITH_ANGLE"))) is not None
        ]
    )
    spacecraft = values.text(text_of(root, f"{info}/Datatake/SPACECRAFT_NAME"))
    orbit = (text_of(root, f"{info}/Datatake/SENSING_ORBIT_DIRECTION") or "").lower()
    return SceneFacts(
        datetime=start or sensed,
        start_datetime=start if end and start and end > start else None,
        end_datetime=end if end and start and end > start else None,
        platform=spacecraft.lower() if spacecraft else None,
        constellation="sentinel-2",
        instruments=("msi",),
        gsd_m=10.0,
        cloud_cover_percent=values.percent(text_of(root, "Quality_Indicators_Info/Cloud_Coverage_Assessment")),
        incidence_angle_deg=sum(incidences) / len(incidences) if incidences else None,
        sun_azimuth_deg=None if tile is None else values.azimuth(text_of(tile, f"{sun}/AZIMUTH_ANGLE")),
        sun_elevation_deg=None if zenith is None else 90 - zenith,
        processing_level=values.text(text_of(root, f"{info}/PROCESSING_LEVEL")),
        footprint_4326=values.footprint(zip(numbers[1::2], numbers[0::2], strict=False)),
        bands=_bands(root),
        orbit_state=orbit if orbit in {"ascending", "descending"} else None,
    )


def _bands(root: Element) -> tuple[Band, ...]:
    """With the wavelengths of this very instrument: Sentinel-2A, 2B and 2C differ by some nanometres."""
    bands = []
    path = "General_Info/Product_Image_Characteristics/Spectral_Information_List/Spectral_Information"
    for one in root.iterfind(path):
        physical = one.get("physicalBand", "")
        name = physical if physical == "B8A" else f"B{physical[1:].zfill(2)}"
        if name not in _COMMON_NAMES:
            continue
        low, high, center = (
            values.number(text_of(one, f"Wavelength/{limit}"), 200, 3000) for limit in ("MIN", "MAX", "CENTRAL")
        )
        bands.append(
            Band(
                name=name,
                common_name=_COMMON_NAMES[name],
                center_wavelength_um=None if center is None else round(center / 1000, 6),
                full_width_half_max_um=None if low is None or high is None else round((high - low) / 1000, 6),
            )
        )
    return tuple(bands)


def _rasters(delivery: Delivery, members: list[Member], root: Element) -> tuple[list[ProductRaster], list[Document]]:
    """Images and masks to land, and the preview."""
    described = {band.name: band for band in _bands(root)}
    images: list[tuple[str, int | None, Member]] = []
    rasters, previews = [], []
    for member in members:
        if delivery.raster_format(member) is None:
            continue
        match = _IMAGE.fullmatch(member.name.name)
        if member.name.stem.upper().endswith("_PVI"):
            previews.append(Document(key="preview", member=member, media_type="image/jp2", roles=("thumbnail",)))
        elif match is not None and "IMG_DATA" in member.name.parts:
            images.append((match[1].upper(), int(match[2]) if match[2] else None, member))
        else:
            mask = member.name.name.startswith("MSK_")
            rasters.append(
                ProductRaster(
                    key=asset_key(member.name.stem),
                    source=delivery.source(member),
                    roles=("data-mask",) if mask else ("data",),
                    title=member.name.name,
                )
            )
    several = {name for name, _, _ in images if [other for other, _, _ in images].count(name) > 1}
    for name, resolution, member in images:
        rasters.append(
            ProductRaster(
                key=f"{name}_{resolution}m" if name in several and resolution else name,
                source=delivery.source(member),
                roles=_roles(name),
                bands=_bands_of(name, described),
                gsd_m=float(resolution) if resolution else _GSD_M.get(name, _GSD_M_OF_OTHERS),
                title=f"{name} ({resolution} m)" if resolution else name,
            )
        )
    return rasters, previews


def _roles(name: str) -> tuple[str, ...]:
    return {"TCI": ("visual",), "SCL": ("data-mask",)}.get(name, ("data",))


def _bands_of(name: str, described: dict[str, Band]) -> tuple[Band, ...]:
    names = ("B04", "B03", "B02") if name == "TCI" else (name,)
    return tuple(described.get(one) or Band(name=one, common_name=_COMMON_NAMES.get(one)) for one in names)


def _documents(members: list[Member], metadata: Member) -> list[Document]:
    wanted = [("product_metadata", metadata)]
    wanted += [(_DOCUMENTS[member.name.name], member) for member in members if member.name.name in _DOCUMENTS]
    return [
        Document(key=key, member=member, media_type="application/xml")
        for key, member in wanted
        if media_type(member) == "application/xml"
    ]


def _image_problems(delivery: Delivery, metadata: Member, root: Element) -> list[Problem]:
    """What is wrong with the images that the metadata list, which they do without the extension."""
    problems = []
    for one in root.iter("IMAGE_FILE"):
        href = f"{(one.text or '').strip()}.jp2"
        path = resolve(metadata.name.parent, href)
        member = None if path is None else delivery.get(path)
        if path is None:
            problems.append(problem("hostile", metadata, f"it refers to {href[:80]!r}, out of the delivery"))
        elif member is None or member.size == 0:
            problems.append(problem("incomplete", path, f"{metadata.name.name} lists it, and it was not delivered"))
        elif delivery.raster_format(member) != "JP2OpenJPEG":
            problems.append(problem("corrupt", path, "it is no JPEG 2000"))
    return problems


def _manifest_problems(delivery: Delivery, manifest: Member) -> list[Problem]:
    """Files that differ from the manifest's checksums, or are not here.

    Warnings: those who cut or thin out scenes, UP42 among them, do not always write a new manifest, and what the images
    are is judged by decoding them.
    """
    missing, different, hostile = [], [], []
    for stream in read_xml(manifest).iter("byteStream"):
        location, checksum = stream.find("fileLocation"), stream.find("checksum")
        href = "" if location is None else location.get("href", "")
        path = resolve(manifest.name.parent, href)
        if path is None:
            hostile.append(href[:80])
            continue
        member = delivery.get(path)
        algorithm = None if checksum is None else _CHECKSUMS.get(checksum.get("checksumName", "").upper())
        if member is None:
            missing.append(path.name)
        elif checksum is not None and algorithm is not None:
            expected = (checksum.text or "").strip().lower()
            if file_digest(member, algorithm) != expected:
                different.append(path.name)
    problems = []
    if hostile:
        problems.append(problem("hostile", manifest, f"it refers to {some(hostile)}, out of the delivery"))
    if missing:
        problems.append(problem("warning", manifest, f"{len(missing)} files are not delivered: {some(missing)}"))
    if different:
        problems.append(problem("warning", manifest, f"{len(different)} files differ in checksum: {some(different)}"))
    return problems
