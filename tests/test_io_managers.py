"""What an asset stored is found again without Dagster, on every kind of lake."""

from datetime import UTC, datetime

import dagster as dg
import pystac
import pytest

from up42_pipelines.io_managers import StacIOManager, stored_items
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.resources import LakeResource

KEY = dg.AssetKey(["enhance", "sharp", "processed_cogs"])
DAY = "tempelhof field|2026-06-03"


@pytest.fixture(params=["local", "memory"])
def lake(request, tmp_path) -> LakeResource:
    return LakeResource(url=str(tmp_path / "lake") if request.param == "local" else f"memory://{tmp_path.name}")


def test_what_the_io_manager_keeps_is_read_back(lake):
    @dg.asset(key=KEY, partitions_def=date_by_aoi(["tempelhof field"], start_date="2026-06-01"))
    def stored() -> pystac.ItemCollection:
        when = datetime(2026, 6, 3, tzinfo=UTC)
        item = pystac.Item(id="one", geometry=None, bbox=None, datetime=when, properties={})
        return pystac.ItemCollection([item], extra_fields={"note": "kept"})

    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"io_manager": StacIOManager(lake=lake)}
        assert dg.materialize([stored], partition_key=DAY, resources=resources, instance=instance).success
    found = stored_items(lake.lake, KEY, DAY)
    assert found is not None
    assert [item.id for item in found] == ["one"]
    assert found.extra_fields == {"note": "kept"}


def test_what_was_never_stored_is_nothing(lake):
    assert stored_items(lake.lake, KEY, DAY) is None
