"""One pipeline: every day's optical archive scenes over the AOIs in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from up42_pipelines.assets import Pipeline
from up42_pipelines.lake import DeliveryRules, LandingOptions
from up42_pipelines.ordering.aoi import load_aois
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.protocol import Timing

AOI_FOLDER = Path(__file__).parent / "aois"


def optical_archive() -> Pipeline:
    """The pipeline as the environment shapes it.

    UP42_AOIS: folder of GeoJSON files, one AOI each (default: the two beside this module).
    UP42_COLLECTION, UP42_DATA_PRODUCT: what to buy (default: the sandbox's optical collection, which a real account
    does not have, so that nothing is bought there by accident).
    UP42_START_DATE: first day (default 2026-06-01). UP42_MAX_SCENES: scenes bought per partition (default 1).
    UP42_MAX_CLOUD_COVER: percent (default 100). UP42_MAX_CREDITS_PER_ORDER: ceiling (default 1000).
    UP42_MAX_CREDITS_PER_MONTH: ceiling for everything that the pipeline buys in a calendar month (default: none).
    UP42_LEASE_S, UP42_SETTLING_S: how long buying waits for a process that is dead, and for UP42 to list what it may
    have taken (default 30 and 120; only a sandbox can do with less, see docs/ordering.md).
    """
    max_cloud_cover = float(os.environ.get("UP42_MAX_CLOUD_COVER", "100"))
    is_sandboxs = "UP42_DATA_PRODUCT" not in os.environ  # four bands of 16 bit
    aois = {name: str(path) for name, path in load_aois(os.environ.get("UP42_AOIS") or AOI_FOLDER).items()}
    return Pipeline(
        name="optical_archive",
        aois=aois,
        partitions=date_by_aoi(aois, start_date=os.environ.get("UP42_START_DATE", "2026-06-01")),
        collection=os.environ.get("UP42_COLLECTION", "sandbox-optical"),
        data_product=os.environ.get("UP42_DATA_PRODUCT", "analytic"),
        selection=SelectionRules(
            max_cloud_cover_percent=max_cloud_cover,
            max_scenes=int(os.environ.get("UP42_MAX_SCENES", "1")),
        ),
        ceilings=Ceilings(
            order=float(os.environ.get("UP42_MAX_CREDITS_PER_ORDER", "1000")),
            month=float(month) if (month := os.environ.get("UP42_MAX_CREDITS_PER_MONTH")) else None,
        ),
        timing=Timing(
            lease_s=(lease_s := float(os.environ.get("UP42_LEASE_S", "30"))),
            start_s=lease_s / 3,
            settling_s=float(os.environ.get("UP42_SETTLING_S", "120")),
        ),
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
