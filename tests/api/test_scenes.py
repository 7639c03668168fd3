"""A scene of the archive: when it was taken, and what it becomes as a STAC item."""

import math
from datetime import UTC, datetime

import pystac
import pytest

from up42_pipelines.api import DeliveryTime, Scene
from up42_pipelines.errors import UnexpectedAnswer


def feature(name, **properties):
    geometry = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 2], [0, 0]]]}
    properties = {"id": name, "datetime": "2026-04-02T10:00:00Z", **properties}
    return {"type": "Feature", "geometry": geometry, "bbox": [0, 0, 1, 2], "properties": properties}


class TestScene:
    @pytest.mark.parametrize(
        ("properties", "acquired"),
        [
            ({"datetime": "2026-04-02T10:00:00Z", "acquisitionDate": "2020-01-01T00:00:00Z"}, "2026-04-02T10:00:00"),
            ({"datetime": None, "acquisitionDate": "2026-04-02T10:00:00.123Z"}, "2026-04-02T10:00:00.123000"),
            ({"datetime": None, "start_datetime": "2026-04-02T10:00:00Z"}, "2026-04-02T10:00:00"),
            ({"datetime": "2026-04-02T10:00:00"}, "2026-04-02T10:00:00"),
            ({"datetime": "2026-04-02"}, "2026-04-02T00:00:00"),
            ({"datetime": "2026-04-02T01:00:00+05:45"}, "2026-04-01T19:15:00"),
        ],
    )
    def test_acquired_is_utc_whatever_the_answer_calls_it(self, properties, acquired):
        scene = Scene.of_feature(feature("a", **properties))
        assert scene.acquired.isoformat() == f"{acquired}+00:00"

    def test_a_scene_without_date_can_be_looked_at_but_not_dated(self):
        scene = Scene.of_feature(feature("undated", datetime=None))
        with pytest.raises(UnexpectedAnswer, match="Scene undated carries no acquisition date"):
            _ = scene.acquired
        assert "undated" in repr(scene)
        assert scene.model_dump()["id"] == "undated"

    def test_a_date_that_is_none_is_an_unexpected_answer(self):
        with pytest.raises(UnexpectedAnswer, match="Scene that cannot be read: datetime: "):
            Scene.of_feature(feature("a", datetime="yesterday"))

    def test_as_stac_item(self):
        properties = {"sceneId": "S", "cloudCoverage": 12.5, "resolution": 0.5, "constellation": "PHR", "extra": 1}
        item = Scene.of_feature(feature("a", collection="phr", **properties)).to_item()
        assert (item.id, item.datetime) == ("a", datetime(2026, 4, 2, 10, tzinfo=UTC))
        assert item.bbox == [0, 0, 1, 2]
        assert item.properties["eo:cloud_cover"] == 12.5
        assert item.properties["gsd"] == 0.5
        assert item.properties["constellation"] == "PHR"
        assert item.properties["title"] == "S"
        assert item.properties["up42-product:collection_name"] == "phr"
        assert item.properties["up42:scene"]["extra"] == 1
        assert any("/eo/" in extension for extension in item.stac_extensions)

    def test_as_stac_item_with_little_known(self):
        item = Scene.of_feature(feature("a")).to_item()
        assert item.properties["title"] == "a"
        assert not {"eo:cloud_cover", "gsd", "constellation", "up42-product:collection_name"} & set(item.properties)
        assert not item.stac_extensions

    def test_a_clear_sky_is_known(self):
        assert Scene.of_feature(feature("a", cloudCoverage=0)).to_item().properties["eo:cloud_cover"] == 0

    def test_unknown_cloud_cover(self):
        assert Scene.of_feature(feature("a")).cloud_cover_percent is None
        assert math.isclose(Scene.of_feature(feature("a", cloudCoverage=3.5)).cloud_cover_percent, 3.5)

    def test_an_item_of_it_is_valid_json_and_reads_back(self):
        properties = {"cloudCoverage": 12.5, "resolution": 0.5, "providerProperties": {"deep": [1]}}
        item = Scene.of_feature(feature("a", **properties)).to_item()
        assert pystac.Item.from_dict(item.to_dict()).to_dict() == item.to_dict()

    def test_keeps_the_feature_as_it_came(self):
        body = feature("a", newThing=1) | {"title": "beside the properties"}
        scene = Scene.of_feature(body)
        assert scene.raw == body
        assert scene.model_extra == {"newThing": 1}
        assert scene.bbox == (0, 0, 1, 2)

    def test_delivery_times(self):
        assert Scene.of_feature(feature("a", deliveryTime="HOURS")).delivery_time is DeliveryTime.HOURS
        assert Scene.of_feature(feature("a", deliveryTime="WEEKS")).delivery_time == "WEEKS"

    @pytest.mark.parametrize("body", [None, [], "text", {}, {"properties": None}, {"properties": []}])
    def test_what_is_no_feature(self, body):
        with pytest.raises(UnexpectedAnswer, match="search result that is no feature"):
            Scene.of_feature(body)
