"""Archive search, quicklooks and thumbnails (UP42 API reference, catalogue)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.catalog import scene_query
from up42_pipelines.sandbox.catalog.products import HOST
from up42_pipelines.sandbox.catalog.scene_query import SceneQuery
from up42_pipelines.sandbox.core import clock, geometry
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.imagery import placement
from up42_pipelines.sandbox.imagery.scene_grid import FIRST_DAY
from up42_pipelines.sandbox.imagery.scenes import Scene, TooMuchToSearch
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.world import World

QUICKLOOK_SIDE, THUMBNAIL_SIDE = 512, 128
_EARLIEST = clock.parse_instant(f"{FIRST_DAY}T00:00:00Z")


def search(call: Call) -> Response:
    """Find the scenes of one host."""
    host = call.name("host")
    if host != HOST:
        raise scene_query.invalid(f"Unknown host {host}")
    query = scene_query.read(call.json_object())
    known = {source.collection.name for source in call.world.sources}
    if query.collections is not None and not query.collections <= known:
        missing = ", ".join(sorted(query.collections - known))
        raise scene_query.invalid(f"Collections not found at host {host}: {missing}")
    offset, after = 0, None
    if cursor := call.query("next"):
        offset, after = scene_query.read_cursor(cursor, host)
    try:
        page, more = _page(call.world, query, after)
    except TooMuchToSearch as problem:
        raise scene_query.invalid("The search is too large", str(problem)) from None
    here = f"{call.origin}/catalog/hosts/{host}/stac/search"
    links = [{"rel": "self", "href": here}]
    if more:
        token = scene_query.write_cursor(host, offset + len(page), query.sort_key(page[-1]))
        links.append({"rel": "next", "href": f"{here}?next={quote(token, safe='')}"})
    return JSONResponse(
        {"type": "FeatureCollection", "links": links, "features": [as_feature(scene) for scene in page]}
    )


def _page(world: World, query: SceneQuery, after: tuple[float, str] | None) -> tuple[list[Scene], bool]:
    scenes = _candidates(world, query, after)
    if not query.newest_first:
        scenes = iter(sorted(scenes, key=query.sort_key, reverse=query.descending))
    page: list[Scene] = []
    for scene in scenes:
        key = query.sort_key(scene)
        if after is not None and not (key < after if query.descending else key > after):
            continue
        if not query.matches(scene):
            continue
        if len(page) == query.limit:
            return page, True
        page.append(scene)
    return page, False


def _candidates(world: World, query: SceneQuery, after: tuple[float, str] | None) -> Iterator[Scene]:
    """Yield scenes of the right place and time, newest first."""
    now = clock.moment(world.now())
    if query.ids is not None:
        found = [entry[1] for scene_id in dict.fromkeys(query.ids) if (entry := world.scene(scene_id))]
        visible = [scene for scene in found if scene.acquired_at <= now and query.area.intersects(scene.footprint)]
        return iter(sorted(visible, key=lambda scene: (scene.acquired_at, scene.id), reverse=True))
    last = min(now, query.last or now)
    if after is not None and query.newest_first:
        last = min(last, clock.moment(round(after[0] * clock.SECOND)))
    first = max(_EARLIEST, query.first or _EARLIEST)
    wanted = [
        source.find(query.area, first, last)
        for source in world.sources
        if query.collections is None or source.collection.name in query.collections
    ]
    return heapq.merge(*wanted, key=lambda scene: (scene.acquired_at, scene.id), reverse=True)


def as_feature(scene: Scene) -> dict[str, Any]:
    """Write a scene as the search shows it; it is not a STAC item."""
    acquired = clock.seconds_text(scene.acquired_at)
    return {
        "type": "Feature",
        "bbox": placement.bbox(scene.footprint),
        "geometry": geometry.as_geojson(scene.footprint),
        "properties": {
            "id": scene.id,
            "constellation": scene.constellation,
            "collection": scene.collection,
            "providerName": HOST,
            "up42:usageType": list(scene_query.USAGE_TYPES),
            "providerProperties": dict(scene.provider_properties),
            "sceneId": scene.id,
            "producer": scene.producer,
            "datetime": acquired,
            "acquisitionDate": acquired,
            "start_datetime": None,
            "end_datetime": None,
            "cloudCoverage": scene.cloud_cover_percent,
            "resolution": scene.gsd_m,
            "deliveryTime": scene_query.DELIVERY_TIME,
        },
    }


def quicklook(call: Call) -> Response:
    """Show the full scene."""
    return _picture(call, QUICKLOOK_SIDE)


def thumbnail(call: Call) -> Response:
    """Show the full scene, smaller."""
    return _picture(call, THUMBNAIL_SIDE)


def _picture(call: Call, max_side: int) -> Response:
    found = call.world.scene(call.name("scene_id")) if call.name("host") == HOST else None
    picture = None
    if found is not None and found[1].acquired_at <= clock.moment(call.world.now()):
        picture = found[0].preview(found[1], max_side)
    if picture is None:
        raise Refused(404, "Not Found", body={"error": {"message": "Not Found"}})
    return Response(picture, media_type="image/jpeg")


_EXAMPLE = {
    "collections": ["sandbox-optical"],
    "bbox": [13.3, 52.4, 13.5, 52.6],
    "datetime": "2026-06-01T00:00:00Z/2026-06-30T23:59:59Z",
    "query": {"cloudCoverage": {"lt": 20}},
    "sortby": [{"field": "properties.acquisitionDate", "direction": "desc"}],
    "limit": 50,
}
ROUTES: list[BaseRoute] = [
    route("/catalog/hosts/{host}/stac/search", search, ["POST"], query=("next",), example=_EXAMPLE),
    route("/catalog/{host}/image/{scene_id}/quicklook", quicklook),
    route("/catalog/{host}/image/{scene_id}/thumbnail", thumbnail),
]
