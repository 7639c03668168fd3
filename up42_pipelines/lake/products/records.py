"""What is found in an unpacked delivery."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.source import RasterSource

Kind = Literal["dimap", "safe", "landsat", "planet", "palsar", "up42-job", "plain"]

# hostile: a file points at what it must not; corrupt: a file is not what the delivery says it is; incomplete: a file
# that the delivery needs is not there. Those three keep a delivery out of the lake; a warning does not.
Severity = Literal["hostile", "corrupt", "incomplete", "warning"]


class Member(Protocol):
    """A file of an unpacked delivery."""

    @property
    def name(self) -> PurePosixPath:
        """Its path inside the archive."""
        ...

    @property
    def path(self) -> Path:
        """Where it is on disk."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with a delivery.

    Attributes:
        severity: see `Severity`.
        subject: the file at fault, as it is named inside the archive.
        message: what is wrong with it.
    """

    severity: Severity
    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A spectral band or a polarisation.

    Attributes:
        name: what the provider calls it, for example `B04` or `NIR`.
        common_name: of the STAC extension eo (2.0.0, "Common Band Names"); None when it has none.
        center_wavelength_um: micrometres.
        full_width_half_max_um: micrometres.
    """

    name: str
    common_name: str | None = None
    center_wavelength_um: float | None = None
    full_width_half_max_um: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFacts:
    """What a delivery's metadata say about the scene; None and empty mean that they do not say.

    Attributes:
        datetime: of the acquisition (UTC); None with `start_datetime` and `end_datetime` when it is a period.
        start_datetime: UTC.
        end_datetime: UTC.
        platform: for example `PHR1B`, `sentinel-2a`, `landsat-8`.
        constellation: for example `PHR`, `sentinel-2`.
        instruments: lower case.
        gsd_m: metres; the finest of several.
        cloud_cover_percent: 0 to 100.
        off_nadir_deg: angle at the satellite between nadir and scene centre, 0 to 90.
        incidence_angle_deg: angle at the ground between the vertical and the satellite, 0 to 90.
        view_azimuth_deg: from the scene to the satellite, clockwise from north, 0 to 360.
        sun_azimuth_deg: clockwise from north, 0 to 360.
        sun_elevation_deg: above the horizon, -90 to 90.
        processing_level: in the provider's words, for example `ORTHO`, `L2SP`.
        footprint_4326: GeoJSON Polygon or MultiPolygon (longitude, latitude; degrees), cut at the
            antimeridian.
        bands: every spectral band that the metadata describe.
        orbit_state: `ascending` or `descending`.
        sar_frequency_band: for example `L`.
        sar_polarizations: for example `HH`, `HV`.
        sar_instrument_mode: for example `FBD`.
        sar_observation_direction: `left` or `right`.
    """

    datetime: dt.datetime | None = None
    start_datetime: dt.datetime | None = None
    end_datetime: dt.datetime | None = None
    platform: str | None = None
    constellation: str | None = None
    instruments: tuple[str, ...] = ()
    gsd_m: float | None = None
    cloud_cover_percent: float | None = None
    off_nadir_deg: float | None = None
    incidence_angle_deg: float | None = None
    view_azimuth_deg: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    processing_level: str | None = None
    footprint_4326: dict[str, Any] | None = None
    bands: tuple[Band, ...] = ()
    orbit_state: str | None = None
    sar_frequency_band: str | None = None
    sar_polarizations: tuple[str, ...] = ()
    sar_instrument_mode: str | None = None
    sar_observation_direction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRaster:
    """A raster to land.

    Attributes:
        key: of the STAC asset; unique in the delivery, and fit to be a file name.
        source: what GDAL is to open.
        roles: of the STAC asset: `data`, `visual`, or `data-mask` for what counts or flags pixels.
        bands: in the order of the raster's bands; empty when the metadata do not give that order.
        gsd_m: metres.
        title: for people.
    """

    key: str
    source: RasterSource
    roles: tuple[str, ...] = ("data",)
    bands: tuple[Band, ...] = ()
    gsd_m: float | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductVectors:
    """A file of features to land, where there are no rasters.

    Attributes:
        key: of the STAC asset; unique in the delivery, and fit to be a file name.
        member: the file.
        title: for people.
    """

    key: str
    member: Member
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file to land as it is, beside the rasters.

    Attributes:
        key: of the STAC asset; unique in the delivery, and fit to be a file name.
        member: the file.
        media_type: told by its content.
        roles: of the STAC asset: `metadata`, `thumbnail`, `overview` or `license`.
    """

    key: str
    member: Member
    media_type: str
    roles: tuple[str, ...] = ("metadata",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a provider calls a product: its rasters, its papers and what they say.

    Attributes:
        kind: whose format.
        name: in the provider's words.
        rasters: what is safe and whole enough to open.
        vectors: files of features.
        documents: what lies beside them.
        facts: about the scene.
        problems: what is wrong with it.
    """

    kind: Kind
    name: str
    rasters: tuple[ProductRaster, ...] = ()
    vectors: tuple[ProductVectors, ...] = ()
    documents: tuple[Document, ...] = ()
    facts: SceneFacts = field(default_factory=SceneFacts)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a delivery contains.

    Attributes:
        products: in a fixed order.
        documents: of no product.
        problems: of the delivery as a whole.
        left_out: files that are not landed, and why.
    """

    products: tuple[Product, ...]
    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """Of the delivery and of each product."""
        return self.problems + tuple(problem for product in self.products for problem in product.problems)

    def check(self) -> None:
        """Refuse a delivery with any problem that is more than a warning.

        Raises:
            InvalidDelivery: names the first files at fault.
        """
        faults = [problem for problem in self.all_problems if problem.severity != "warning"]
        if faults:
            words = [f"{fault.subject}: {fault.message} ({fault.severity})" for fault in faults[:5]]
            if len(faults) > 5:
                words.append(f"and {len(faults) - 5} more")
            raise InvalidDelivery("; ".join(words) + ". Ask UP42 to deliver again.")
