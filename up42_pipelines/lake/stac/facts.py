"""What a product's metadata say about a scene, as fields of STAC. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pystac.utils import datetime_to_str

# Where the time of an item came from whose metadata have none.
DATETIME_FROM = "up42-pipelines:datetime_from"

# Fact of a product's metadata -> field, and the least and most that its extension takes.
_NUMBERS = {
    "gsd_m": ("gsd", math.ulp(0.0), math.inf),
    "cloud_cover_percent": ("eo:cloud_cover", 0, 100),
    "off_nadir_deg": ("view:off_nadir", 0, 90),
    "incidence_angle_deg": ("view:incidence_angle", 0, 90),
    "view_azimuth_deg": ("view:azimuth", 0, 360),
    "sun_azimuth_deg": ("view:sun_azimuth", 0, 360),
    "sun_elevation_deg": ("view:sun_elevation", -90, 90),
}
_WORDS = {
    "platform": "platform",
    "constellation": "constellation",
    "instruments": "instruments",
    "processing_level": "processing:level",
    "orbit_state": "sat:orbit_state",
    "sar_frequency_band": "sar:frequency_band",
    "sar_polarizations": "sar:polarizations",
    "sar_instrument_mode": "sar:instrument_mode",
    "sar_observation_direction": "sar:observation_direction",
}
_BAND_FACTS = {
    "name": "name",
    "common_name": "eo:common_name",
    "center_wavelength_um": "eo:center_wavelength",
    "full_width_half_max_um": "eo:full_width_half_max",
}


def scene_properties(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Item properties from the attributes of `products.SceneFacts`, but for time and place.

    Unknown names, None and values that are impossible are passed over.
    """
    fields: dict[str, Any] = {}
    for name, (field, least, most) in _NUMBERS.items():
        value = facts.get(name)
        if isinstance(value, int | float) and math.isfinite(value) and least <= value <= most:
            fields[field] = value
    for name, field in _WORDS.items():
        if value := facts.get(name):
            fields[field] = list(value) if isinstance(value, tuple | list) else value
    return fields


def acquisition_time(facts: Mapping[str, Any], delivered_at: datetime) -> dict[str, Any]:
    """`datetime`, and both ends of a period or neither (STAC 1.1.0, "Date and Time")."""
    moment, start, end = (facts.get(name) for name in ("datetime", "start_datetime", "end_datetime"))
    period = {}
    if start and end and start <= end:
        period = {"start_datetime": datetime_to_str(start), "end_datetime": datetime_to_str(end)}
    moment = moment or (None if period else start or end)
    if moment or period:
        return {"datetime": datetime_to_str(moment) if moment else None, **period}
    return {"datetime": datetime_to_str(delivered_at), DATETIME_FROM: "the delivery; its metadata have no time"}


def announcement(said: Mapping[str, Any]) -> dict[str, Any]:
    """Asset fields from what a product's metadata say of a raster: attributes of `products.ProductRaster`."""
    asset: dict[str, Any] = {"roles": list(said.get("roles") or ("data",))}
    if said.get("title"):
        asset["title"] = said["title"]
    if said.get("gsd_m"):
        asset["gsd"] = said["gsd_m"]
    if said.get("bands"):
        asset["bands"] = [
            {field: band[name] for name, field in _BAND_FACTS.items() if band.get(name) is not None}
            for band in said["bands"]
        ]
    return asset
