"""The order plan: what would be asked of UP42 for the chosen scenes, one order per POST. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from up42_pipelines.api.orders import OrderInput
from up42_pipelines.ordering.keys import OrderTags, order_key

_LABEL_LENGTH = 160
"""Of a display name, which UP42 allows 200 characters and which ends with the order key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """On whose behalf things are ordered.

    Attributes:
        workspace_id: UP42 workspace.
        pipeline: name of the pipeline.
        partition: partition key.
        data_product: id of the data product.
        generation: raised by a person to buy the same things again.
        budget_id: the UP42 budget that pays; no part of the order key.
    """

    workspace_id: str
    pipeline: str
    partition: str
    data_product: str
    generation: int = 1
    budget_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """One order that may be placed.

    Attributes:
        key: order key.
        scene_id: archive scene.
        geometry: area to deliver, degrees (EPSG:4326); None for the full scene.
        purpose: on whose behalf.
        params: order parameters without geometry.
    """

    key: str
    scene_id: str
    geometry: BaseGeometry | None
    purpose: Purpose
    params: Mapping[str, Any]

    def request(self, credits: int = 0) -> OrderInput:
        """The body of estimate and placing; `credits` is the estimate that the order's tags will tell."""
        tags = OrderTags(
            pipeline=self.purpose.pipeline, partition=self.purpose.partition, key=self.key, credits=credits
        )
        feature = {
            "type": "Feature",
            "properties": {},
            "geometry": None if self.geometry is None else mapping(self.geometry),
        }
        return OrderInput(
            data_product=self.purpose.data_product,
            display_name=f"{f'{self.purpose.pipeline} {self.purpose.partition}'[:_LABEL_LENGTH]} {self.key}",
            params=dict(self.params),
            feature_collection={"type": "FeatureCollection", "features": [feature]},
            tags=tags.to_tags(),
            budget_id=self.purpose.budget_id,
        )


def plan_order(
    purpose: Purpose, scene_id: str, areas: Sequence[BaseGeometry] | None, params: Mapping[str, Any] | None = None
) -> list[PlannedOrder]:
    """The orders for one scene: one per area, or one for the full scene when `areas` is None."""
    given = {**(params or {}), "id": scene_id}
    return [
        PlannedOrder(
            key=order_key(
                workspace_id=purpose.workspace_id,
                data_product=purpose.data_product,
                params=given,
                geometry=area,
                pipeline=purpose.pipeline,
                partition=purpose.partition,
                generation=purpose.generation,
            ),
            scene_id=scene_id,
            geometry=area,
            purpose=purpose,
            params=given,
        )
        for area in ([None] if areas is None else areas)
    ]
