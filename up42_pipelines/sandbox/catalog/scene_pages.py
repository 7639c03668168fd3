"""One page of a STAC search over the scenes on sale, without looking at more of them than the page needs."""

from __future__ import annotations

import heapq
import operator
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import shapely

from up42_pipelines.sandbox.catalog import scene_shapes
from up42_pipelines.sandbox.core import clock
from up42_pipelines.sandbox.core.problems import Refused, bad_request
from up42_pipelines.sandbox.imagery import scene_stream
from up42_pipelines.sandbox.imagery.scene_grid import FIRST_DAY
from up42_pipelines.sandbox.imagery.scenes import Scene
from up42_pipelines.sandbox.storage.stac_query import Rank, StacQuery
from up42_pipelines.sandbox.world import Source, World

MAX_LOOKED_AT = 30_000
_EARLIEST = clock.parse_instant(f"{FIRST_DAY}T00:00:00Z")
_GLOBE = shapely.box(-180, -90, 180, 90)


def find(world: World, query: StacQuery) -> tuple[Sequence[Scene], str | None]:
    """Return the scenes of one page, newest first unless another order is asked for, and the token of the next page.

    The token names a scene, not a position: scenes that are taken meanwhile move nothing off a page. A page may be
    short although there is a next one, after many scenes in a row that do not match.

    Raises:
        Refused: 400, too many scenes would have to be looked at, or the token is unknown.
    """
    after = None if query.token is None else _scene_of(world, query.token)
    newest_first = not query.sort or query.sort[0][1]
    if query.ids is not None or query.demanded("id") is not None:
        page, more = _least(_named(world, query), query, after)
    elif query.sort in ((), (("datetime", True),), (("datetime", False),)):
        page, more = _next(_candidates(world, query, after, newest_first=newest_first), query)
    else:
        page, more = _least(_few(_candidates(world, query, None, newest_first=newest_first)), query, after)
    return page, f"next:{page[-1].id}" if more else None


def visible(world: World, scene_id: str) -> Scene | None:
    """Find a scene that has been taken."""
    found = world.scene(scene_id)
    return found[1] if found is not None and found[1].acquired_at <= _now(world) else None


def _next(scenes: Iterable[Scene], query: StacQuery) -> tuple[Sequence[Scene], bool]:
    """Take the first scenes that match."""
    page: list[Scene] = []
    in_vain = 0
    for scene in scenes:
        in_vain += 1
        if query.matches(scene_shapes.view(scene)):
            if len(page) == query.limit:
                return page, True
            page.append(scene)
            in_vain = 0
        elif in_vain == MAX_LOOKED_AT and page:
            return page, True
        elif in_vain == MAX_LOOKED_AT:
            raise _too_large(f"none of {MAX_LOOKED_AT} scenes in a row matches")
    return page, False


def _least(scenes: Iterable[Scene], query: StacQuery, after: Scene | None) -> tuple[Sequence[Scene], bool]:
    """Take the first scenes in the order that is asked for, after a scene."""
    newest_first = not query.sort or query.sort[0][1]

    def place(scene: Scene) -> tuple[Rank, ...]:
        ties = (Rank(value, newest_first) for value in scene_stream.key(scene))
        return (*query.position(scene_shapes.view(scene)), *ties)

    matching = (scene for scene in scenes if query.matches(scene_shapes.view(scene)))
    beyond = matching if after is None else (scene for scene in matching if place(after) < place(scene))
    page = heapq.nsmallest(query.limit + 1, beyond, key=place)
    return page[: query.limit], len(page) > query.limit


def _named(world: World, query: StacQuery) -> list[Scene]:
    names = query.ids if query.ids is not None else (query.demanded("id") or "",)
    return [scene for name in dict.fromkeys(names) if (scene := visible(world, name)) is not None]


def _candidates(world: World, query: StacQuery, after: Scene | None, *, newest_first: bool) -> Iterator[Scene]:
    """Yield scenes of the right collections, place and time in the order of their acquisition, after a scene."""
    first, last = query.interval
    first, last = max(_EARLIEST, first or _EARLIEST), min(_now(world), last or _now(world))
    if after is not None and newest_first:
        last = min(last, after.acquired_at)
    elif after is not None:
        first = max(first, after.acquired_at)
    sources = [source for source in world.sources if _may_match(source, query)]
    area = _GLOBE if query.reach is None else query.reach
    beyond = operator.lt if newest_first else operator.gt
    for scene in scene_stream.in_order(sources, area, first, last, newest_first=newest_first):
        if after is None or beyond(scene_stream.key(scene), scene_stream.key(after)):
            yield scene


def _few(scenes: Iterable[Scene]) -> Iterator[Scene]:
    for number, scene in enumerate(scenes):
        if number == MAX_LOOKED_AT:
            raise _too_large(f"more than {MAX_LOOKED_AT} scenes would have to be sorted")
        yield scene


def _may_match(source: Source, query: StacQuery) -> bool:
    name = source.collection.name
    if query.collections is not None and name not in query.collections:
        return False
    return query.filter is None or not query.filter.excludes({"collection": name})


def _scene_of(world: World, token: str) -> Scene:
    direction, _, scene_id = token.partition(":")
    scene = visible(world, scene_id)
    if direction != "next" or scene is None:
        raise bad_request(f"unknown token {token[:100]!r}")
    return scene


def _too_large(problem: str) -> Refused:
    return bad_request(f"the search is too large: {problem}. Narrow the area or the datetime.")


def _now(world: World) -> datetime:
    return clock.moment(world.now())
