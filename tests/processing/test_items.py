"""How UP42 knows the items that jobs work on."""

from datetime import UTC, datetime

import pystac
import pytest

from up42_pipelines.errors import OrderRefused
from up42_pipelines.processing.items import is_features_only, up42_href

HOST = "https://api.up42.com"
HREF = f"{HOST}/v2/assets/stac/collections/c/items/scene"


def item(*links, types=(), roles=("data",), item_id="scene"):
    made = pystac.Item(item_id, None, None, datetime(2026, 6, 1, tzinfo=UTC), {})
    for rel, href in links:
        made.add_link(pystac.Link(rel, href))
    for number, media_type in enumerate(types):
        made.add_asset(str(number), pystac.Asset("file", media_type=media_type, roles=list(roles)))
    return made


class TestHref:
    def test_an_item_of_the_lake_remembers_it(self):
        assert (
            up42_href(item(("root", "../catalog.json"), ("self", "/lake/scene.json"), ("derived_from", HREF))) == HREF
        )

    def test_an_item_straight_from_up42_is_its_own(self):
        assert up42_href(item(("self", HREF))) == HREF

    def test_of_a_result_it_is_the_result_and_not_what_it_was_made_of(self):
        source = ("derived_from", f"{HOST}/v2/assets/stac/collections/c/items/source")
        assert up42_href(item(source, ("derived_from", HREF), ("derived_from", "../../b/source/source.json"))) == HREF

    def test_without_what_a_signature_or_a_client_adds(self):
        assert up42_href(item(("self", f"{HREF}/?token=secret#here"))) == HREF

    def test_of_an_id_with_signs(self):
        href = f"{HOST}/v2/assets/stac/collections/c/items/a%20b"
        assert up42_href(item(("self", href), item_id="a b")) == href

    @pytest.mark.parametrize(
        "links",
        [
            (),
            (("derived_from", f"{HOST}/v2/assets/1234"),),
            (("derived_from", f"{HOST}/v2/assets/stac/collections/c/items/other"),),
            (("self", "/lake/c/items/scene"),),
            (("parent", HREF),),
        ],
    )
    def test_what_up42_never_made_an_item_of_is_refused_with_what_to_do(self, links):
        with pytest.raises(OrderRefused, match=r"Item scene: .*UP42's storage.*order a data product"):
            up42_href(item(*links))


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["application/geo+json"], True),
        (["application/vnd.apache.parquet"], True),
        (["application/geopackage+sqlite3; version=1", "application/geo+json"], True),
        (["application/geo+json", "image/tiff; application=geotiff"], False),
        (["image/tiff"], False),
        ([None], False),
        ([], False),
    ],
)
def test_features_only(types, expected):
    assert is_features_only(item(types=types)) is expected


def test_a_picture_of_features_is_no_data():
    made = item(types=["application/geo+json"])
    made.add_asset("picture", pystac.Asset("file", media_type="image/png", roles=["thumbnail"]))
    assert is_features_only(made)


def test_a_document_beside_a_raster_is_no_data():
    made = item(types=["image/tiff"])
    made.add_asset("outline", pystac.Asset("file", media_type="application/geo+json", roles=["metadata"]))
    assert not is_features_only(made)
