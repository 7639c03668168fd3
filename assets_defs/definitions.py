"""What Dagster loads. The account and the lake come from the environment; without them the location still loads."""

from __future__ import annotations

import os

import dagster as dg

from assets_defs import settings
from assets_defs.enhanced_imagery import bundle_archive, enhanced_imagery
from assets_defs.optical_archive import optical_archive
from up42_pipelines.ingestion import build_ingestion
from up42_pipelines.resources import LakeResource, Up42Resource
from up42_pipelines.workflows import build_workflow

_up42, _lake = Up42Resource.from_env(), LakeResource.from_env()
_interval_s = int(settings.number("UP42_SENSOR_INTERVAL_S", 60))

defs = dg.Definitions.merge(
    build_ingestion(optical_archive(), bundle_archive(), up42=_up42, lake=_lake, sensor_interval_s=_interval_s),
    build_workflow(
        enhanced_imagery(),
        up42=_up42,
        lake=_lake,
        sensor_interval_s=_interval_s,
        start_on_delivery=os.environ.get("UP42_PROCESS_ON_DELIVERY") == "1",
    ),
)
