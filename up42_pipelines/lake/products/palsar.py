"""PALSAR-2 mosaics and scenes of JAXA with CARD4L metadata: a GeoTIFF per polarisation and per-pixel layer."""

from __future__ import annotations

from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from up42_pipelines.lake.products import values
from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, problem, resolve
from up42_pipelines.lake.products.documents import read_head, read_xml, text_of
from up42_pipelines.lake.products.records import Band, Member, Product, ProductRaster, SceneFacts

_SIGN = b'Copyright="JAXA'
_LAYERS = {
    "DataMask": ("mask", ("data-mask",)),
    "LocalIncAngle": ("local_incidence_angle", ("data",)),
    "AcquisitionDate": ("date", ("data",)),
}
_SOURCE = "GeneralMetadata/SourceAttributes"


def recognise_palsar(delivery: Delivery, free: frozenset[PurePosixPath]) -> list[Recognised]:
    """A product per metadata document of JAXA.

    Raises:
        InvalidDelivery: such a document is damaged or hostile XML.
    """
    return [
        _product(delivery, member)
        for member in delivery.members
        if member.name in free and member.name.suffix.lower() == ".xml" and _SIGN in read_head(member)
    ]


def _product(delivery: Delivery, metadata: Member) -> Recognised:
    root, folder = read_xml(metadata), metadata.name.parent
    rasters, problems, claimed = [], [], set()
    for layer in root.iter():
        href = text_of(layer, "FileName")
        if href is None:
            continue
        path = resolve(folder, href)
        member = None if path is None else delivery.get(path)
        if path is None:
            problems.append(problem("hostile", metadata, f"it refers to {href[:80]!r}, out of the delivery"))
        elif member is None:
            problems.append(problem("incomplete", path, f"{metadata.name.name} lists it, and it was not delivered"))
        elif delivery.raster_format(member) is None:
            problems.append(problem("corrupt", member, "the metadata call it a raster, and it is none"))
        else:
            claimed |= {path} | {side_car.name for side_car in delivery.side_cars(member)}
            rasters.append(_raster(delivery, member, layer))
    return Recognised(
        product=Product(
            kind="palsar",
            name=metadata.name.stem,
            rasters=tuple(rasters),
            facts=scene_facts(root),
            problems=tuple(problems),
        ),
        folder=folder,
        claimed=frozenset(claimed),
    )


def _raster(delivery: Delivery, member: Member, layer: Element) -> ProductRaster:
    polarization = values.text(layer.get("pol")) if layer.tag == "Polarization" else None
    key, roles = _LAYERS.get(layer.tag, (polarization or member.name.stem, ("data",)))
    return ProductRaster(
        key=asset_key(key),
        source=delivery.source(member),
        roles=roles,
        bands=(Band(name=polarization),) if polarization else (),
        title=f"{polarization} backscatter" if polarization else layer.tag,
    )


def scene_facts(root: Element) -> SceneFacts:
    """Facts from CARD4L metadata; of several acquisitions the whole period. Pure."""
    starts = [time for one in root.iter("UTCStartTime") if (time := values.utc(one.text)) is not None]
    ends = [time for one in root.iter("UTCEndTime") if (time := values.utc(one.text)) is not None]
    parameters = f"{_SOURCE}/AcquisitionParameters"
    satellite = values.text(text_of(root, f"{_SOURCE}/Satellite"))
    instrument = values.text(text_of(root, f"{_SOURCE}/Instrument"))
    orbit = (text_of(root, f"{_SOURCE}/OrbitInformation/PassDirection") or "").lower()
    pointing = (text_of(root, f"{parameters}/AntennaPointing") or "").lower()
    polarizations = (text_of(root, f"{parameters}/Polarizations") or "").split("+")
    return SceneFacts(
        datetime=min(starts, default=None),
        start_datetime=min(starts, default=None) if ends else None,
        end_datetime=max(ends, default=None) if starts else None,
        platform=satellite,
        constellation="ALOS" if satellite and satellite.upper().startswith("ALOS") else None,
        instruments=(instrument.lower(),) if instrument else (),
        processing_level=values.text(text_of(root, "GeneralMetadata/DocumentIdentifier")),
        footprint_4326=values.footprint(
            [
                (one.findtext("Longitude"), one.findtext("Latitude"))
                for one in root.iterfind("GeneralMetadata/GeographicalBoundingBox")
            ],
            corners_only=True,
        ),
        orbit_state=orbit if orbit in {"ascending", "descending"} else None,
        sar_frequency_band=values.text(text_of(root, f"{parameters}/RadarBand")),
        sar_polarizations=tuple(one for one in polarizations if one in {"HH", "HV", "VH", "VV"}),
        sar_instrument_mode=values.text(text_of(root, f"{parameters}/ObservationMode")),
        sar_observation_direction=pointing if pointing in {"left", "right"} else None,
    )
