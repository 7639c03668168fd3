"""Facts of several scenes as those of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import shapely
from shapely.geometry import shape

from up42_pipelines.lake.products.records import SceneFacts
from up42_pipelines.lake.products.values import as_geojson


def merge_facts(scenes: Sequence[SceneFacts]) -> SceneFacts:
    """What holds for all scenes together: the period, the union of areas, bands and instruments, the finest pixels.

    A panchromatic and a multispectral image of one pass have one time; a mosaic of passes has a period. The cloud cover
    of several is the worst. Any other fact is kept when no two scenes differ in it.
    """
    if len(scenes) == 1:
        return scenes[0]
    times = sorted(
        time
        for scene in scenes
        for time in (scene.datetime, scene.start_datetime, scene.end_datetime)
        if time is not None
    )
    one_time = times[0] if times and times[0] == times[-1] else None
    return SceneFacts(
        datetime=one_time,
        start_datetime=times[0] if times and one_time is None else None,
        end_datetime=times[-1] if times and one_time is None else None,
        instruments=_all(scene.instruments for scene in scenes),
        gsd_m=min((scene.gsd_m for scene in scenes if scene.gsd_m is not None), default=None),
        cloud_cover_percent=max(
            (scene.cloud_cover_percent for scene in scenes if scene.cloud_cover_percent is not None), default=None
        ),
        footprint_4326=_union([scene.footprint_4326 for scene in scenes if scene.footprint_4326 is not None]),
        bands=_all(scene.bands for scene in scenes),
        sar_polarizations=_all(scene.sar_polarizations for scene in scenes),
        **{name: _common([getattr(scene, name) for scene in scenes]) for name in _COMMON},
    )


_COMMON = (
    "platform",
    "constellation",
    "off_nadir_deg",
    "incidence_angle_deg",
    "view_azimuth_deg",
    "sun_azimuth_deg",
    "sun_elevation_deg",
    "processing_level",
    "orbit_state",
    "sar_frequency_band",
    "sar_instrument_mode",
    "sar_observation_direction",
)


def _common(values: Sequence[Any]) -> Any:
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None


def _all(lists: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value for values in lists for value in values))


def _union(footprints: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not footprints:
        return None
    if all(footprint == footprints[0] for footprint in footprints):
        return footprints[0]
    return as_geojson(shapely.union_all([shape(footprint) for footprint in footprints]))
