"""What a job is to work on: the body of validation, cost and execution (UP42 API reference, processing)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError
from shapely.geometry import shape

from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.processing.compute import results
from up42_pipelines.sandbox.processing.processes import Process
from up42_pipelines.sandbox.storage import deliveries, stac_shapes
from up42_pipelines.sandbox.storage.deliveries import Delivery
from up42_pipelines.sandbox.world import World

MAX_TITLE = 200
_ITEM_URL = re.compile(rf"https?://[^/?#]+{stac_shapes.ROOT}/collections/([0-9a-f-]{{36}})/items/([0-9a-f-]{{36}})")


@dataclass(frozen=True)
class Problem:
    """What is wrong with inputs whose form is right."""

    name: str
    message: str

    def as_json(self) -> dict[str, str]:
        """Write the problem as errors are listed."""
        return {"name": self.name, "message": self.message}


@dataclass(frozen=True)
class JobInput:
    """Inputs that match the schema of the process.

    Attributes:
        process: what is to be done.
        inputs: as they were given.
        items: those of the inputs that exist, by the name of the input.
        problems: what is wrong with them.
    """

    process: Process
    inputs: Mapping[str, Any]
    items: Mapping[str, Delivery]
    problems: tuple[Problem, ...]

    @property
    def item_key(self) -> str:
        """The ids of its items as the inputs name them: equal for the same items."""
        return ",".join(str(self.inputs[name]).rsplit("/", 1)[-1].lower() for name in self.process.item_inputs)

    @property
    def options(self) -> dict[str, Any]:
        """Its inputs that are neither title nor item."""
        return {name: value for name, value in self.inputs.items() if name in self.process.options}

    @property
    def cost(self) -> dict[str, Any]:
        """What the job costs, see `Process.cost`: the area of its first item counts."""
        first = self.items.get(self.process.item_inputs[0])
        return self.process.cost(0.0 if first is None else geometry.area_km2(shape(first.content["geometry"])))

    def require_sense(self) -> None:
        """Stop inputs with problems.

        Raises:
            Refused: 422.
        """
        if self.problems:
            errors = [problem.as_json() for problem in self.problems]
            body = {"title": "Unprocessable Entity", "status": 422, "errors": errors}
            raise Refused(422, "Unprocessable Entity", body=body)


def read(world: World, process: Process, body: Mapping[str, Any]) -> JobInput:
    """Read a body and look its items up.

    Raises:
        Refused: 400, it does not match the schema of the process.
    """
    problem = next(iter(jsonschema.Draft7Validator(process.schema).iter_errors(body)), None)
    if problem is not None:
        told = {"title": "Bad Request", "status": 400, "schema-error": _schema_error(problem)}
        raise Refused(400, "Bad Request", body=told)
    inputs = body["inputs"]
    found = {name: _item(world, inputs[name]) for name in process.item_inputs}
    items = {name: item for name, item in found.items() if item is not None}
    missing = [
        Problem("ItemNotFound", f"{name}: there is no item {inputs[name]!r}")
        for name, item in found.items()
        if item is None
    ]
    problems = [*_title_problems(inputs["title"]), *missing]
    if not missing:
        problems += _item_problems(process, items)
        problems += _weight_problems(inputs.get("greyWeights", []), items)
    return JobInput(process, inputs, items, tuple(problems))


def _item(world: World, href: str) -> Delivery | None:
    """Find an item by its self link, whatever name the client has for this host."""
    ids = _ITEM_URL.fullmatch(href.lower())
    if ids is None:
        return None
    found = deliveries.one(world, "item_id", ids[2], gate="items_at")
    return found if found is not None and found.collection_id == ids[1] else None


def _title_problems(title: str) -> list[Problem]:
    if title.strip() and title.isprintable() and len(title) <= MAX_TITLE:
        return []
    return [Problem("InvalidTitle", f"title: 1 to {MAX_TITLE} printable characters are needed, not all blank")]


def _item_problems(process: Process, items: Mapping[str, Delivery]) -> list[Problem]:
    problems = [problem for item in items.values() for problem in _unfit(process, item)]
    return problems + (_pair_problems(items) if len(items) > 1 else [])


def _unfit(process: Process, item: Delivery) -> list[Problem]:
    """List what an item lacks; the results of processes are items, too, and some of them hold no pixels."""
    content, item_id = item.content, item.item_id
    if not any(file["bands"] for file in content["data"]):
        types = ", ".join(file["type"] for file in content["data"])
        return [Problem("MissingRasterAsset", f"item {item_id} has no raster asset, only {types}")]
    if not results.rasters(content):
        told = "cannot be laid on a grid in metres: it is too large, too near to a pole, or placed by RPCs only"
        return [Problem("UnsupportedRaster", f"the raster of item {item_id} {told}")]
    problems = [
        Problem(f"Missing{role.capitalize()}Asset", f"item {item_id} has no {role} asset")
        for role in process.roles
        if results.raster_of_role(content, role) is None
    ]
    if results.raster_with(content, process.bands) is None:
        offered = sorted({band for file in content["data"] for band in file["bands"]})
        wanted = ", ".join(process.bands)
        problems.append(Problem("MissingBands", f"item {item_id} has no asset with {wanted}, only {offered}"))
    for file in results.rasters(content):
        side = process.growth * max(file["grid"]["width"], file["grid"]["height"])
        if process.growth > 1 and side > results.MAX_SIDE:
            told = f"would make {side} pixels in a row of item {item_id}, at most {results.MAX_SIDE} are made"
            problems.append(Problem("ItemTooLarge", f"{process.id} {told}"))
    return problems


def _pair_problems(items: Mapping[str, Delivery]) -> list[Problem]:
    ids, contents = [item.item_id for item in items.values()], [item.content for item in items.values()]
    problems = []
    if len(set(ids)) < len(ids):
        problems.append(Problem("IdenticalItems", f"{' and '.join(items)} are the same item {ids[0]}"))
    if results.common_ground(contents).is_empty:
        problems.append(Problem("ItemsDoNotOverlap", f"items {' and '.join(ids)} have no area in common"))
    return problems


def _weight_problems(weights: list[dict[str, Any]], items: Mapping[str, Delivery]) -> list[Problem]:
    if not weights:
        return []
    bands = {
        band
        for item in items.values()
        for file in item.content["data"]
        if file["role"] == "multispectral"
        for band in file["bands"]
    }
    problems = [
        Problem("InvalidGreyWeights", f"greyWeights: the item has no band {weight['band']!r}, only {sorted(bands)}")
        for weight in weights
        if weight["band"] not in bands
    ]
    if not sum(weight["weight"] for weight in weights):
        problems.append(Problem("InvalidGreyWeights", "greyWeights: their sum must be above 0"))
    return problems


def _schema_error(problem: ValidationError) -> str:
    """Write what is wrong the way UP42 does: `data.inputs must contain ['item'] properties`."""
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.absolute_path)
    where = "data" + "".join(steps)
    wanted: Any = problem.validator_value
    instance: Any = problem.instance
    schema: Any = problem.schema
    if problem.validator == "required":
        return f"{where} must contain {[name for name in wanted if name not in instance]} properties"
    if problem.validator == "additionalProperties":
        return f"{where} must not contain {sorted(set(instance) - set(schema['properties']))} properties"
    if problem.validator == "type":
        return f"{where} must be {wanted}"
    return f"{where}: {problem.message[:300]}"
