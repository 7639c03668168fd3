"""What an order asks for: the body of estimate and placement, checked rule by rule (UP42 API reference, orders)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jsonschema
from shapely.geometry import Polygon

from up42_pipelines.sandbox.account import budgets
from up42_pipelines.sandbox.catalog import offers, order_forms
from up42_pipelines.sandbox.catalog.offers import Offer
from up42_pipelines.sandbox.catalog.products import DataProduct
from up42_pipelines.sandbox.core import clock, geometry
from up42_pipelines.sandbox.core.problems import bad_request, not_found
from up42_pipelines.sandbox.imagery import synthetic
from up42_pipelines.sandbox.imagery.scenes import Scene
from up42_pipelines.sandbox.routing import is_uuid
from up42_pipelines.sandbox.world import Source, World

MAX_TAGS, MAX_NAME = 30, 200
MAX_TASK_DEGREES, MAX_TASK_LATITUDE, MIN_TASK_KM2 = 2, 80, 0.01
_TAG = re.compile(r"[A-Za-z0-9 .\-_/:]+")


@dataclass(frozen=True)
class OrderInput:
    """A body whose general rules hold; its features have not been looked at."""

    offer: Offer
    display_name: str
    params: Mapping[str, Any]
    features: Sequence[Any]
    tags: tuple[str, ...] | None
    budget_id: str | None


@dataclass(frozen=True)
class Line:
    """One feature of a scene that exists. `size` is in km² or scenes; `aoi` is None for a full scene."""

    index: int
    source: Source
    scene: Scene
    aoi: Polygon | None
    credits: int
    size: float


@dataclass(frozen=True)
class Task:
    """One feature that is still to be taken; nobody knows its price yet."""

    index: int
    aoi: Polygon


@dataclass(frozen=True)
class Failure:
    """One feature that cannot."""

    index: int
    message: str
    details: str

    def as_json(self) -> dict[str, Any]:
        """Write the failure as estimate and placement show it."""
        return {"index": self.index, "message": self.message, "details": self.details}


def read(body: Mapping[str, Any], world: World) -> OrderInput:
    """Check what concerns the whole order.

    Raises:
        Refused: 400 for a broken rule, 404 for an unknown data product or budget.
    """
    product_id, name = body.get("dataProduct"), body.get("displayName")
    if not is_uuid(product_id):
        raise bad_request("dataProduct must be the UUID of a data product")
    offer = offers.find(world, str(product_id).lower())
    if offer is None:
        raise not_found("DataProduct", str(product_id))
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= len(name) <= MAX_NAME:
        raise bad_request(f"displayName must have between 1 and {MAX_NAME} characters")
    params = _params(body.get("params"), offer)
    features = _features(body.get("featureCollection"))
    return OrderInput(offer, name, params, features, read_tags(body), read_budget(body, world))


def read_tags(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Read the tags; None when the body has none.

    Raises:
        Refused: 400, null, too many, or characters that are not allowed.
    """
    if "tags" not in body:
        return None
    tags = body["tags"]
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise bad_request("tags must be an array of strings; leave it out when there are none")
    if len(tags) > MAX_TAGS:
        raise bad_request(f"at most {MAX_TAGS} tags are allowed, got {len(tags)}")
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise bad_request(f"tag {tag[:100]!r}: only letters, digits, spaces and . - _ / : are allowed")
    return tuple(tags)


def read_budget(body: Mapping[str, Any], world: World) -> str | None:
    """Read the budget's id; None when there is none.

    Raises:
        Refused: 400, not a UUID; 404, there is no such budget.
    """
    budget_id = body.get("budgetId")
    if budget_id is None:
        return None
    if not is_uuid(budget_id):
        raise bad_request("budgetId must be the UUID of a budget; leave it out when there is none")
    return str(budgets.find(world, budget_id)["id"])


def lines(order: OrderInput, world: World) -> list[Line | Task | Failure]:
    """Look at every feature, in their order."""
    source = order.offer.source
    if source is None:
        return [_task(index, feature) for index, feature in enumerate(order.features)]
    scene = source.scene(order.params["id"])
    if scene is None or scene.acquired_at > clock.moment(world.now()):
        details = f"No scene {order.params['id']} in collection {source.collection.name}"
        return [Failure(index, "Scene not found", details) for index in range(len(order.features))]
    return [_line(index, feature, source, order.offer.product, scene) for index, feature in enumerate(order.features)]


def display_names(order: OrderInput) -> list[str]:
    """Return a name for each feature: with a number when there are several."""
    if len(order.features) == 1:
        return [order.display_name]
    return [f"{order.display_name} {number}" for number in range(1, len(order.features) + 1)]


def _params(params: Any, offer: Offer) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise bad_request("params must be an object")
    problem = next(iter(jsonschema.Draft7Validator(order_forms.params_schema(offer)).iter_errors(params)), None)
    if problem is not None:
        where = "".join(f"/{part}" for part in problem.absolute_path)
        raise bad_request(f"order parameters errors: params{where}: {problem.message[:300]}")
    if offer.source is None and _instant(params, "acquisitionStart") >= _instant(params, "acquisitionEnd"):
        raise bad_request("order parameters errors: params/acquisitionEnd must be after acquisitionStart")
    return params


def _instant(params: Mapping[str, Any], key: str) -> datetime:
    try:
        return clock.parse_instant(params[key])
    except ValueError as problem:
        raise bad_request(f"order parameters errors: params/{key}: {problem}") from None


def _features(collection: Any) -> list[Any]:
    if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
        raise bad_request("featureCollection must be a GeoJSON FeatureCollection")
    features = collection.get("features")
    if not isinstance(features, list) or not features:
        raise bad_request("featureCollection must have at least one feature")
    if not all(isinstance(feature, dict) and feature.get("type") == "Feature" for feature in features):
        raise bad_request("every entry of featureCollection.features must be a GeoJSON Feature")
    return features


def _task(index: int, feature: Mapping[str, Any]) -> Task | Failure:
    try:
        aoi = geometry.order_area(feature.get("geometry"))
    except geometry.GeometryProblem as problem:
        return Failure(index, "Geometry is not valid", str(problem))
    west, south, east, north = aoi.bounds
    if max(east - west, north - south) > MAX_TASK_DEGREES or max(-south, north) > MAX_TASK_LATITUDE:
        details = (
            f"a tasked area spans at most {MAX_TASK_DEGREES} degrees and lies between the parallels of"
            f" {MAX_TASK_LATITUDE} degrees"
        )
        return Failure(index, "Geometry is too large", details)
    if geometry.area_km2(aoi) < MIN_TASK_KM2:
        return Failure(index, "Geometry is too small", f"a tasked area has at least {MIN_TASK_KM2} km²")
    return Task(index, aoi)


def _line(index: int, feature: Mapping[str, Any], source: Source, product: DataProduct, scene: Scene) -> Line | Failure:
    given = feature.get("geometry")
    if product.unit == "SCENE":
        if given is not None:
            return Failure(
                index, "Geometry is not valid", "this data product is delivered whole: geometry must be null"
            )
        price, size = product.price(0)
        return Line(index, source, scene, None, price, size)
    try:
        aoi = geometry.order_area(given)
    except geometry.GeometryProblem as problem:
        return Failure(index, "Geometry is not valid", str(problem))
    area_km2 = geometry.area_km2(synthetic.clip_to(scene, aoi))
    if area_km2 <= 0:
        return Failure(
            index, "Geometry does not intersect the scene", f"the AOI lies outside the footprint of {scene.id}"
        )
    price, size = product.price(area_km2)
    return Line(index, source, scene, aoi, price, size)
