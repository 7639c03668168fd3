"""What a DIMAP document says about the scene. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from xml.etree.ElementTree import Element

from up42_pipelines.lake.products import values
from up42_pipelines.lake.products.documents import text_of
from up42_pipelines.lake.products.records import Band, SceneFacts

# Band ids of Pléiades and SPOT 6/7 (B0 to B3) and of Pléiades Neo (letters).
_COMMON_NAMES_V2 = {
    "P": "pan",
    "PAN": "pan",
    "B0": "blue",
    "B1": "green",
    "B2": "red",
    "B3": "nir",
    "R": "red",
    "G": "green",
    "B": "blue",
    "NIR": "nir",
    "RE": "rededge",
    "DB": "coastal",
}
# Band descriptions of SPOT 1-5, which have no blue.
_COMMON_NAMES_V1 = {"PAN": "pan", "XS1": "green", "XS2": "red", "XS3": "nir", "SWIR": "swir16"}
_STRIP = "Dataset_Sources/Source_Identification/Strip_Source"
_SCENE = "Dataset_Sources/Source_Information/Scene_Source"
_BAND_INFO_V1 = "Image_Interpretation/Spectral_Band_Info"
_SETTINGS = "Processing_Information/Product_Settings"


def scene_facts(root: Element) -> SceneFacts:
    """Facts from a DIMAP V1 or V2 document.

    The azimuth of the view is left out: AZIMUTH_ANGLE of DIMAP V2 is that of the image's lines, not of the satellite.
    """
    return _facts_v1(root) if root.find("Dataset_Id") is not None else _facts_v2(root)


def bands_in_file_order(root: Element) -> tuple[Band, ...]:
    """The bands in the order of the raster; empty when the document does not tell.

    DIMAP V2 without a Raster_Index_List does not: its lists of bands go by wavelength, its files often red first.
    """
    described = {band.name: band for band in _spectral_bands(root)}
    ordered = _indexed_bands(root)
    if ordered:
        table = _COMMON_NAMES_V1 if root.find("Dataset_Id") is not None else _COMMON_NAMES_V2
        return tuple(described.get(name) or Band(name=name, common_name=table.get(name.upper())) for name in ordered)
    return tuple(described.values()) if len(described) == 1 and _band_count(root) in {None, 1} else ()


def _facts_v2(root: Element) -> SceneFacts:
    strip = root.find(_STRIP)
    center = _center(root)
    mission = _joined(strip, "MISSION", "MISSION_INDEX")
    instrument = _joined(strip, "INSTRUMENT", "INSTRUMENT_INDEX")
    sampling = values.gsd_m(text_of(root, f"{_SETTINGS}/Sampling_Settings/RESAMPLING_SPACING"))
    return SceneFacts(
        datetime=values.utc(_of(center, "TIME")) or _imaging_time(strip),
        platform=mission,
        constellation=values.text(_of(strip, "MISSION")),
        instruments=(instrument.lower(),) if instrument else (),
        gsd_m=sampling or values.gsd_m(_of(center, "Ground_Sample_Distance/GSD_ACROSS_TRACK")),
        cloud_cover_percent=values.percent(text_of(root, "Dataset_Content/CLOUD_COVERAGE")),
        off_nadir_deg=values.angle(_of(center, "Acquisition_Angles/VIEWING_ANGLE")),
        incidence_angle_deg=values.angle(_of(center, "Acquisition_Angles/INCIDENCE_ANGLE")),
        sun_azimuth_deg=values.azimuth(_of(center, "Solar_Incidences/SUN_AZIMUTH")),
        sun_elevation_deg=values.elevation(_of(center, "Solar_Incidences/SUN_ELEVATION")),
        processing_level=values.text(text_of(root, f"{_SETTINGS}/PROCESSING_LEVEL")),
        footprint_4326=values.footprint(
            [
                (vertex.findtext("LON"), vertex.findtext("LAT"))
                for vertex in root.iterfind("Dataset_Content/Dataset_Extent/Vertex")
            ],
            corners_only=text_of(root, "Dataset_Content/Dataset_Extent/EXTENT_TYPE") == "Bounding_Box",
        ),
        bands=_spectral_bands(root),
    )


def _facts_v1(root: Element) -> SceneFacts:
    scene = root.find(_SCENE)
    instrument = _joined(scene, "INSTRUMENT", "INSTRUMENT_INDEX")
    return SceneFacts(
        datetime=_imaging_time(scene),
        platform=_joined(scene, "MISSION", "MISSION_INDEX"),
        constellation=values.text(_of(scene, "MISSION")),
        instruments=(instrument.lower(),) if instrument else (),
        off_nadir_deg=values.angle(_of(scene, "VIEWING_ANGLE")),
        incidence_angle_deg=values.angle(_of(scene, "INCIDENCE_ANGLE")),
        sun_azimuth_deg=values.azimuth(_of(scene, "SUN_AZIMUTH")),
        sun_elevation_deg=values.elevation(_of(scene, "SUN_ELEVATION")),
        processing_level=values.text(text_of(root, "Data_Processing/PROCESSING_LEVEL")),
        footprint_4326=values.footprint(
            [
                (vertex.findtext("FRAME_LON"), vertex.findtext("FRAME_LAT"))
                for vertex in root.iterfind("Dataset_Frame/Vertex")
            ]
        ),
        bands=bands_in_file_order(root),
    )


def _center(root: Element) -> Element | None:
    """The geometric values at the scene's centre, else the first that there are."""
    found = root.findall("Geometric_Data/Use_Area/Located_Geometric_Values")
    centers = [one for one in found if (one.findtext("LOCATION_TYPE") or "").strip().upper() == "CENTER"]
    return next(iter(centers or found), None)


def _indexed_bands(root: Element) -> list[str]:
    """Names of bands by their index in the file: groups of a V2 document one after the other, or the bands of V1.

    Where the indices of a group are not 1 to n, the order of the list is taken, as GDAL does.
    """
    names: list[str] = []
    for group in root.iter("Raster_Index_List"):
        names += _by_index(
            [(one.findtext("BAND_INDEX"), one.findtext("BAND_ID")) for one in group.iter("Raster_Index")]
        )
    if not names:
        infos = root.iterfind(_BAND_INFO_V1)
        names = _by_index([(one.findtext("BAND_INDEX"), one.findtext("BAND_DESCRIPTION")) for one in infos])
    count = _band_count(root)
    return names if len(names) == len(set(names)) and count in {None, len(names)} else []


def _by_index(pairs: list[tuple[str | None, str | None]]) -> list[str]:
    known = [(values.integer(index, 1, 4096), values.text(name)) for index, name in pairs]
    names = [(index, name) for index, name in known if name is not None]
    if [index for index, _ in sorted(names, key=lambda pair: pair[0] or 0)] == list(range(1, len(names) + 1)):
        names.sort(key=lambda pair: pair[0] or 0)
    return [name for _, name in names]


def _spectral_bands(root: Element) -> tuple[Band, ...]:
    path = "Radiometric_Data/Radiometric_Calibration/Instrument_Calibration/Band_Measurement_List/Band_Spectral_Range"
    bands: dict[str, Band] = {}
    for one in root.iterfind(path):
        name = values.text(one.findtext("BAND_ID"))
        if name is None or name in bands:
            continue
        scale = 1e-3 if "nano" in (one.findtext("MEASURE_UNIT") or "").lower() else 1.0
        low = values.number(one.findtext("MIN") or one.findtext("FWHM/MIN"), 0, 1e5)
        high = values.number(one.findtext("MAX") or one.findtext("FWHM/MAX"), 0, 1e5)
        band = Band(name=name, common_name=_COMMON_NAMES_V2.get(name.upper()))
        if low is not None and high is not None and 0.2 <= low * scale < high * scale <= 20:
            band = replace(
                band,
                center_wavelength_um=round((low + high) / 2 * scale, 6),
                full_width_half_max_um=round((high - low) * scale, 6),
            )
        bands[name] = band
    return tuple(bands.values())


def _band_count(root: Element) -> int | None:
    dimensions = next(root.iter("Raster_Dimensions"), None)
    return None if dimensions is None else values.integer(dimensions.findtext("NBANDS"), 1, 4096)


def _imaging_time(source: Element | None) -> datetime | None:
    date, time = _of(source, "IMAGING_DATE"), _of(source, "IMAGING_TIME")
    return values.utc(f"{date}T{time}") if date and time else None


def _joined(parent: Element | None, *names: str) -> str | None:
    """MISSION and MISSION_INDEX as one word, for example `PHR1B`."""
    return values.text("".join(_of(parent, name) or "" for name in names))


def _of(parent: Element | None, path: str) -> str | None:
    return None if parent is None else text_of(parent, path)
