"""Buy satellite imagery through UP42 once, watch it arrive, and land it verified in a data lake.

What a Dagster project imports is here; the engine rooms are `up42_pipelines.api`, `.ordering` and `.lake`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from up42_pipelines.assets import Pipeline, ProcessingPipeline
    from up42_pipelines.ingestion import build_ingestion
    from up42_pipelines.io_managers import StacIOManager
    from up42_pipelines.ordering.aoi import AoiLimits, load_aois
    from up42_pipelines.ordering.selection import SelectionRules
    from up42_pipelines.partitions import date_by_aoi
    from up42_pipelines.processing.workflow import Step, Workflow
    from up42_pipelines.purchasing.approval import Approvals
    from up42_pipelines.purchasing.budget import Ceilings
    from up42_pipelines.purchasing.protocol import Timing
    from up42_pipelines.resources import LakeResource, Up42Resource
    from up42_pipelines.workflows import build_workflow

__version__ = "0.1.0"

_HOMES = {
    "AoiLimits": "up42_pipelines.ordering.aoi",
    "Approvals": "up42_pipelines.purchasing.approval",
    "Ceilings": "up42_pipelines.purchasing.budget",
    "LakeResource": "up42_pipelines.resources",
    "Pipeline": "up42_pipelines.assets",
    "ProcessingPipeline": "up42_pipelines.assets",
    "SelectionRules": "up42_pipelines.ordering.selection",
    "StacIOManager": "up42_pipelines.io_managers",
    "Step": "up42_pipelines.processing.workflow",
    "Timing": "up42_pipelines.purchasing.protocol",
    "Up42Resource": "up42_pipelines.resources",
    "Workflow": "up42_pipelines.processing.workflow",
    "build_ingestion": "up42_pipelines.ingestion",
    "build_workflow": "up42_pipelines.workflows",
    "date_by_aoi": "up42_pipelines.partitions",
    "load_aois": "up42_pipelines.ordering.aoi",
}

__all__ = [
    "AoiLimits",
    "Approvals",
    "Ceilings",
    "LakeResource",
    "Pipeline",
    "ProcessingPipeline",
    "SelectionRules",
    "StacIOManager",
    "Step",
    "Timing",
    "Up42Resource",
    "Workflow",
    "build_ingestion",
    "build_workflow",
    "date_by_aoi",
    "load_aois",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the engine rooms and the sandbox do not pay for Dagster's import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
