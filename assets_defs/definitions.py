"""What Dagster loads. The account and the lake come from the environment; without them the location still loads."""

from __future__ import annotations

import os

from assets_defs.optical_archive import optical_archive
from up42_pipelines.ingestion import build_ingestion
from up42_pipelines.resources import LakeResource, Up42Resource

defs = build_ingestion(
    optical_archive(),
    up42=Up42Resource.from_env(),
    lake=LakeResource.from_env(),
    sensor_interval_s=int(os.environ.get("UP42_SENSOR_INTERVAL_S", "60")),
)
