"""Another pipeline, and what is computed on its deliveries: sharpened, in true colour, buildings, and changes."""

from __future__ import annotations

from assets_defs import settings
from up42_pipelines.assets import Pipeline, ProcessingPipeline
from up42_pipelines.lake import DeliveryRules, LandingOptions
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.processing.templates import (
    DetectionBuildingsSpacept,
    DetectionChangeSimularity,
    Pansharpening,
    TrueColorConversion,
)
from up42_pipelines.processing.workflow import Step, Workflow


def bundle_archive() -> Pipeline:
    """Scenes with a panchromatic and a multispectral image, as the environment shapes it; see `settings`.

    The data product is the sandbox's: a real account does not have it, so that nothing is bought there by accident.
    """
    max_cloud_cover = settings.max_cloud_cover_percent()
    aois = settings.aois()
    return Pipeline(
        name="bundle_archive",
        aois=aois,
        partitions=date_by_aoi(aois, start_date=settings.start_date()),
        collection="sandbox-optical",
        data_product="bundle",
        selection=SelectionRules(max_cloud_cover_percent=max_cloud_cover, max_scenes=settings.max_scenes()),
        ceilings=settings.ceilings(),
        timing=settings.timing(),
        landing=LandingOptions(rules=DeliveryRules(data_types=("uint16",), max_cloud_cover_percent=max_cloud_cover)),
        key_prefix=("bundle",),
        group="bundle_archive",
        owners=("team:earth-observation",),
    )


def enhanced_imagery() -> ProcessingPipeline:
    """Pansharpening, true colour of that, buildings in that; and what has changed since the day before.

    `ceilings` and `timing` of `settings` hold for the whole workflow.
    """
    return ProcessingPipeline(
        workflow=Workflow(
            name="enhance",
            steps=(
                Step(name="pansharpen", template=Pansharpening()),
                Step(name="true_color", template=TrueColorConversion(), of="pansharpen"),
                Step(name="buildings", template=DetectionBuildingsSpacept(), of="true_color"),
                Step(name="change", template=DetectionChangeSimularity(), of="pansharpen", reference_days=1),
            ),
            ceilings=settings.ceilings(),
            timing=settings.timing(),
        ),
        source=bundle_archive(),
        key_prefix=("enhance",),
        owners=("team:earth-observation",),
    )
