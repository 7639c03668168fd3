"""One pipeline: every day's optical archive scenes over the AOIs in a folder."""

from __future__ import annotations

import os

from assets_defs import settings
from up42_pipelines.assets import Pipeline
from up42_pipelines.lake import DeliveryRules, LandingOptions
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import date_by_aoi


def optical_archive() -> Pipeline:
    """The pipeline as the environment shapes it; see also `settings`.

    UP42_COLLECTION, UP42_DATA_PRODUCT: what to buy (default: the sandbox's optical collection, which a real account
    does not have, so that nothing is bought there by accident).
    """
    collection = os.environ.get("UP42_COLLECTION") or "sandbox-optical"
    data_product = os.environ.get("UP42_DATA_PRODUCT") or "analytic"
    is_sandboxs = (collection, data_product) == ("sandbox-optical", "analytic")  # four bands of 16 bit
    max_cloud_cover = settings.max_cloud_cover_percent()
    aois = settings.aois()
    return Pipeline(
        name="optical_archive",
        aois=aois,
        partitions=date_by_aoi(aois, start_date=settings.start_date()),
        collection=collection,
        data_product=data_product,
        selection=SelectionRules(max_cloud_cover_percent=max_cloud_cover, max_scenes=settings.max_scenes()),
        ceilings=settings.ceilings(),
        timing=settings.timing(),
        bytes_per_pixel=8 if is_sandboxs else None,
        landing=LandingOptions(
            rules=DeliveryRules(
                bands=4 if is_sandboxs else None,
                data_types=("uint16",) if is_sandboxs else (),
                max_cloud_cover_percent=max_cloud_cover,
            )
        ),
        group="optical_archive",
        owners=("team:earth-observation",),
    )
