"""The processes on offer: their inputs, prices and licences (UP42 API reference, processing)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from up42_pipelines.sandbox.core import chance

_UNIT = "SQ_KM"
_URL = {"type": "string", "format": "uri"}


@dataclass(frozen=True)
class Process:
    """One process.

    Attributes:
        credits_per_km2: of the area of its first item; 0 when it is free.
        item_inputs: names of the inputs that are URLs of items.
        options: JSON schemas of the inputs that may be left out.
        roles: a raster of each of them must be among those of an item; empty when any raster will do.
        bands: names of bands that one raster of an item must have.
        growth: side of a pixel of the input, in pixels of the result.
    """

    id: str
    title: str
    description: str
    credits_per_km2: int
    item_inputs: tuple[str, ...] = ("item",)
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    roles: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    growth: int = 1

    @property
    def eula_id(self) -> str:
        """The UUID of the licence."""
        return chance.name_uuid("eula", "process", self.id)

    @property
    def inputs(self) -> dict[str, Any]:
        """JSON schemas of all inputs, by name."""
        title = {"type": "string", "title": "Title", "description": "Of the job and of its result"}
        items = {name: {**_URL, "title": name, "description": "Self link of an item"} for name in self.item_inputs}
        return {"title": title, **items, **self.options}

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the body of validation, cost and execution."""
        return {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "inputs": {
                    "type": "object",
                    "required": ["title", *self.item_inputs],
                    "properties": self.inputs,
                    "additionalProperties": False,
                }
            },
        }

    def cost(self, area_km2: float) -> dict[str, Any]:
        """Return what `cost` answers for an area."""
        if not self.credits_per_km2:
            return {"pricingStrategy": "none", "totalCredits": 0}
        size = round(area_km2, 4)
        credits = max(1, math.ceil(round(size * self.credits_per_km2, 6)))
        return {"pricingStrategy": "area", "totalCredits": credits, "totalSize": size, "unit": _UNIT}

    def summary(self, origin: str) -> dict[str, Any]:
        """Write the process as the list of processes shows it."""
        here = f"{origin}/v2/processing/processes/{self.id}"
        return {
            "id": self.id,
            "version": "1.0.0",
            "title": self.title,
            "description": f"{self.description} A toy: the sandbox computes it from the pixels of the input.",
            "jobControlOptions": ["async-execute"],
            "outputTransmission": ["reference"],
            "additionalParameters": {
                "parameters": [
                    {"name": "eula-id", "value": [self.eula_id]},
                    {"name": "price", "value": [{"credits": self.credits_per_km2, "unit": _UNIT}]},
                ]
            },
            "links": [
                {"rel": "self", "type": "application/json", "href": here},
                {
                    "rel": "http://www.opengis.net/def/rel/ogc/1.0/execute",
                    "type": "application/json",
                    "href": f"{here}/execution",
                },
            ],
        }

    def as_json(self, origin: str) -> dict[str, Any]:
        """Write the process as an OGC process description."""
        inputs = {
            name: {
                "title": schema.get("title", name),
                "description": schema.get("description", ""),
                "minOccurs": 0 if name in self.options else 1,
                "maxOccurs": 1,
                "schema": schema,
            }
            for name, schema in self.inputs.items()
        }
        result = {"title": "STAC collection", "description": "URL of the collection with the result", "schema": _URL}
        return {**self.summary(origin), "inputs": inputs, "outputs": {"collection": result}}


def find(process_id: str) -> Process | None:
    """Find a process."""
    return next((process for process in PROCESSES if process.id == process_id), None)


_PAIR = ("sourceItem", "referenceItem")
_SENSITIVITY = {"sensitivity": {"type": "integer", "minimum": 1, "default": 2, "title": "Sensitivity"}}
_GREY_WEIGHTS = {
    "greyWeights": {
        "title": "Grey weights",
        "description": "What each band contributes to the panchromatic one",
        "type": "array",
        "items": {
            "type": "object",
            "required": ["band", "weight"],
            "properties": {"band": {"type": "string"}, "weight": {"type": "number", "minimum": 0}},
            "additionalProperties": False,
        },
    }
}
_BRIGHT = "what is bright and small"
PROCESSES = (
    Process("detection-buildings-spacept", "Building detection", "Outlines of what is bright and grey.", 12),
    Process("detection-trees-spacept", "Tree detection", "The brightest points of what is green.", 12),
    Process("detection-shadows-spacept", "Shadow detection", "Outlines of what is dark and no water.", 8),
    Process("detection-ships-airbus", "Ship detection", f"Outlines of {_BRIGHT} with water around it.", 6),
    Process(
        "detection-wind-turbines-airbus", "Wind turbine detection", f"Outlines of {_BRIGHT} with green around it.", 6
    ),
    Process("detection-storage-tanks-airbus", "Storage tank detection", f"Outlines of {_BRIGHT} and compact.", 6),
    Process("detection-trucks-oi", "Truck detection", "Outlines of what is bright and grey and very small.", 10),
    Process("detection-cars-oi", "Car detection", "The brightest points of what is built up.", 10),
    Process("detection-aircraft-oi", "Aircraft detection", f"Outlines of {_BRIGHT} and not compact.", 10),
    Process("upsampling-ns", "Upsampling", "Cubic pixels of half the side.", 5, growth=2),
    Process(
        "upsampling-ns-sentinel", "Upsampling of Sentinel-2", "Cubic pixels of half the side, of any item.", 1, growth=2
    ),
    Process(
        "true-color-conversion",
        "True colour conversion",
        "Red, green and blue as the eye sees them, 8 bit.",
        0,
        bands=("red", "green", "blue"),
    ),
    Process(
        "orthorectification-intermap",
        "Orthorectification",
        "North up in the item's UTM zone; the sandbox knows no terrain.",
        3,
    ),
    Process(
        "coregistration-simularity",
        "Co-registration",
        "Resampled onto the grid of the reference; nothing is matched.",
        2,
        _PAIR,
    ),
    Process(
        "detection-change-simularity",
        "Change detection",
        "Outlines of what differs from a reference, clouds aside.",
        7,
        _PAIR,
        _SENSITIVITY,
    ),
    Process(
        "pansharpening",
        "Pansharpening",
        "Colours at the resolution of the panchromatic band: a weighted Brovey transform.",
        4,
        options=_GREY_WEIGHTS,
        roles=("panchromatic", "multispectral"),
    ),
)
