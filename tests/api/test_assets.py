"""What was delivered, as files: listed by every filter, described, and streamed from signed URLs."""

import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
import rasterio
import requests
from pydantic.alias_generators import to_snake

from up42_pipelines.api import Assets, AssetSort, AssetSource, ExtractionStatus, Sort
from up42_pipelines.errors import InvalidRequest, NotAuthorized, NotFound, ServerProblem, UnexpectedAnswer

NOBODY = "00000000-0000-4000-8000-000000000000"
ASSET = "11111111-2222-4333-8444-555555555555"
METADATA = f"/v2/assets/{ASSET}/metadata"
EMPTY = (200, {"content": [], "totalPages": 0}, {})


@pytest.fixture(scope="module")
def assets(delivered):
    return delivered.client.storage.assets


@pytest.fixture(scope="module")
def everything(assets):
    """All three, oldest first."""
    found = list(assets.list(sort=AssetSort.created_at.asc))
    assert len(found) == 3
    return found


@pytest.fixture
def scripted(transport):
    return Assets(transport, lambda: "w")


def ids(assets):
    return [asset.id for asset in assets]


class TestList:
    def test_says_what_was_delivered(self, everything, delivered):
        for asset in everything:
            assert asset.order_id in delivered.ids
            assert asset.size > 0
            assert (asset.content_type, asset.source) == ("application/zip", AssetSource.ARCHIVE)
            assert asset.tags[0] == "delivered"
            assert asset.geospatial_metadata_extraction_status is ExtractionStatus.SUCCESSFUL
            assert asset.workspace_id == delivered.client.workspace_id
            assert asset.updated_at >= asset.created_at
            assert asset.collection_name == "sandbox-optical"
            assert asset.name.endswith(".zip")

    @pytest.mark.parametrize("page_size", [1, 2, 100])
    def test_newest_first_when_not_said(self, assets, everything, page_size):
        assert ids(assets.list(page_size=page_size)) == ids(everything)[::-1]

    @pytest.mark.parametrize("field", [sort for name, sort in vars(AssetSort).items() if name[0] != "_"])
    def test_in_every_order(self, assets, everything, field):
        name = to_snake(field.field)
        up = [getattr(one, name) or "" for one in assets.list(sort=field.asc, page_size=2)]
        down = [getattr(one, name) or "" for one in assets.list(sort=field.desc)]
        assert up == sorted(up) == down[::-1]
        assert len(up) == len(everything)

    @pytest.mark.parametrize(
        ("filters", "orders"),
        [
            ({"tags": ["whole"]}, {"whole"}),
            ({"tags": ["whole", "parts"]}, {"whole", "parts"}),
            ({"tags": ["nothing"]}, set()),
            ({"collection_names": ["sandbox-optical", "x"]}, {"whole", "parts"}),
            ({"collection_names": ["x"]}, set()),
            ({"producer_names": ["x"]}, set()),
            ({"sources": [AssetSource.ARCHIVE]}, {"whole", "parts"}),
            ({"sources": ["TASKING", "USER"]}, set()),
            ({"extraction_status": ExtractionStatus.SUCCESSFUL}, {"whole", "parts"}),
            ({"extraction_status": "FAILED"}, set()),
            ({"search": "no such thing"}, set()),
            ({"whole_account": True}, {"whole", "parts"}),
            ({"created_before": datetime(2020, 1, 1, tzinfo=UTC)}, set()),
            ({"created_after": datetime(2020, 1, 1, tzinfo=UTC)}, {"whole", "parts"}),
        ],
    )
    def test_filters(self, assets, delivered, filters, orders):
        assert {asset.order_id for asset in assets.list(**filters)} == {getattr(delivered, name) for name in orders}

    def test_by_text_and_producer(self, assets, everything):
        one = everything[0]
        for filters in ({"search": one.name[:-4]}, {"search": one.order_id.upper()}):
            assert {asset.order_id for asset in assets.list(**filters)} == {one.order_id}
        assert ids(assets.list(producer_names=[one.producer_name])) == ids(everything)[::-1]

    def test_by_time_to_the_second(self, assets, everything):
        first, moment = everything[0].id, everything[0].created_at
        assert first in ids(assets.list(created_after=moment, created_before=moment))
        assert first not in ids(assets.list(created_before=moment - timedelta(seconds=2)))
        assert first not in ids(assets.list(created_after=moment + timedelta(seconds=2)))

    def test_of_another_workspace(self, transport, script):
        script.on("/v2/assets", EMPTY)
        list(Assets(transport, lambda: NOBODY).list())
        assert ("workspaceId", NOBODY) in script.queries("/v2/assets")[0]

    @pytest.mark.parametrize(
        ("wrong", "told"), [({"sort": Sort("x")}, "sort must be"), ({"sources": ["MOON"]}, "MOON")]
    )
    def test_refused(self, assets, wrong, told):
        with pytest.raises(InvalidRequest, match=told):
            list(assets.list(**wrong))


class TestListOnTheWire:
    @pytest.mark.parametrize(
        ("filters", "asked"),
        [
            ({}, {}),
            ({"whole_account": True}, {"workspaceId": []}),
            ({"search": "a b"}, {"search": ["a b"]}),
            ({"tags": ["a", "b"]}, {"tags": ["a", "b"]}),
            ({"collection_names": ["a", "b"]}, {"collectionNames": ["a", "b"]}),
            ({"producer_names": ["a"]}, {"producerNames": ["a"]}),
            ({"sources": [AssetSource.USER, "NEW"]}, {"sources": ["NEW", "USER"]}),
            (
                {"extraction_status": ExtractionStatus.IN_PROGRESS},
                {"geospatialMetadataExtractionStatus": ["IN_PROGRESS"]},
            ),
            ({"sort": AssetSort.size.asc}, {"sort": ["size,asc"]}),
            ({"page_size": 5}, {"size": ["5"]}),
            (
                {"created_after": datetime.fromisoformat("2026-01-01T01:30:00.999+02:00")},
                {"createdAfter": ["2025-12-31T23:30:00Z"]},
            ),
            ({"created_before": datetime(2026, 1, 1, 0, 0, 0, 1, UTC)}, {"createdBefore": ["2026-01-01T00:00:01Z"]}),
            ({"created_before": datetime(2026, 1, 1, tzinfo=UTC)}, {"createdBefore": ["2026-01-01T00:00:00Z"]}),
        ],
    )
    def test_query(self, script, scripted, filters, asked):
        script.on("/v2/assets", EMPTY)
        assert list(scripted.list(**filters)) == []
        expected = {"workspaceId": ["w"], "sort": ["createdAt,desc"], "page": ["0"], "size": ["100"], **asked}
        assert script.queries("/v2/assets") == [sorted((key, one) for key, many in expected.items() for one in many)]


class TestOfOrder:
    def test_whole_or_in_parts(self, assets, delivered):
        for order_id, count in ((delivered.whole, 1), (delivered.parts, 2)):
            found = assets.of_order(order_id)
            assert len({asset.id for asset in found}) == len(found) == count
            assert {asset.order_id for asset in found} == {order_id}

    def test_of_nothing(self, assets):
        assert assets.of_order(NOBODY) == []

    def test_what_else_the_text_search_finds_is_dropped(self, script, scripted):
        rows = [
            {"id": "a", "orderId": "o-1"},
            {"id": "b", "orderId": "o-12"},
            {"id": "c", "title": "notes on o-1"},
            {"id": "d", "orderId": "o-1", "geospatialMetadataExtractionStatus": "A_NEW_ONE"},
        ]
        pages = [(200, {"content": rows[at : at + 2], "totalPages": 2}, {}) for at in (0, 2)]
        script.on("/v2/assets", *pages)
        found = scripted.of_order("o-1")
        assert [asset.id for asset in found] == ["a", "d"]
        assert found[1].geospatial_metadata_extraction_status == "A_NEW_ONE"
        assert [dict(query)["search"] for query in script.queries("/v2/assets")] == ["o-1", "o-1"]
        assert all("workspaceId" not in dict(query) for query in script.queries("/v2/assets"))

    @pytest.mark.parametrize("status", [404, 405, 410])
    def test_where_the_listing_is_gone(self, script, scripted, status):
        script.on("/v2/assets", (status, {"title": "gone"}, {}))
        assert scripted.of_order("o-1") is None

    @pytest.mark.parametrize(("status", "error"), [(403, NotAuthorized), (400, InvalidRequest), (500, ServerProblem)])
    def test_a_problem_is_not_an_absence(self, script, scripted, status, error):
        script.on("/v2/assets", (status, {"title": "no"}, {}))
        with pytest.raises(error):
            scripted.of_order("o-1")


class TestMetadata:
    def test_of_one(self, assets, everything):
        assert assets.get(everything[0].id) == everything[0]

    @pytest.mark.parametrize("asset_id", [NOBODY, "no-uuid"])
    def test_of_none(self, assets, asset_id):
        with pytest.raises(NotFound, match=asset_id):
            assets.get(asset_id)
        with pytest.raises(NotFound, match=asset_id):
            assets.update(asset_id, title="x", tags=[])

    def test_update_keeps_what_is_not_given(self, assets, everything):
        asset_id = everything[-1].id  # no other test looks at its title
        tags = assets.get(asset_id).tags
        assert assets.update(asset_id, title="Harbour").title == "Harbour"
        assert assets.get(asset_id).tags == tags
        changed = assets.update(asset_id, tags=["a", "b"])
        assert (changed.title, changed.tags) == ("Harbour", ("a", "b"))
        assert assets.update(asset_id, title=None).tags == ("a", "b")
        assert not assets.update(asset_id, tags=None).tags
        restored = assets.update(asset_id, tags=tags, title="Harbour")
        assert (restored.title, restored.tags) == ("Harbour", tags)

    @pytest.mark.parametrize(
        ("changes", "sent", "read_before"),
        [
            ({"title": "T"}, {"title": "T", "tags": ["old"]}, True),
            ({"tags": ("a",)}, {"title": "Old", "tags": ["a"]}, True),
            ({"tags": "harbour"}, {"title": "Old", "tags": ["harbour"]}, True),
            ({"title": None}, {"title": None, "tags": ["old"]}, True),
            ({"tags": None}, {"title": "Old", "tags": None}, True),
            ({"tags": []}, {"title": "Old", "tags": []}, True),
            ({}, {"title": "Old", "tags": ["old"]}, True),
            ({"title": "T", "tags": ["a"]}, {"title": "T", "tags": ["a"]}, False),
            ({"title": None, "tags": None}, {"title": None, "tags": None}, False),
        ],
    )
    def test_update_sends_all_of_it(self, script, scripted, changes, sent, read_before):
        script.on(METADATA, (200, {"id": ASSET, "title": "Old", "tags": ["old"]}, {}))
        assert scripted.update(ASSET, **changes).id == ASSET
        methods = [one["method"] for one in script.requests(METADATA)]
        assert methods == (["GET", "POST"] if read_before else ["POST"])
        assert script.bodies(METADATA)[-1] == sent

    def test_update_of_an_asset_that_has_neither(self, script, scripted):
        script.on(METADATA, (200, {"id": ASSET}, {}))
        scripted.update(ASSET, title="T")
        assert script.bodies(METADATA)[-1] == {"title": "T", "tags": None}


class TestDownloadUrl:
    def test_of_a_delivery(self, assets, everything):
        body = fetch(assets.download_url(everything[0].id)).content
        assert len(body) == everything[0].size
        assert zipfile.ZipFile(BytesIO(body)).testzip() is None

    @pytest.mark.parametrize("ending", ["", "/download-url"])
    def test_of_a_stac_asset_streamed_in_pieces(self, assets, delivered, ending):
        [item] = delivered.client.storage.items_of_order(delivered.whole)
        [href] = [asset.href for asset in item.assets.values() if "data" in asset.roles]
        url = assets.download_url(href.removesuffix("/download-url") + ending)
        whole = fetch(url).content
        assert whole[:4] in (b"II*\0", b"II+\0")
        piece = fetch(url, headers={"Range": "bytes=4-19"})
        assert (piece.status_code, piece.content) == (206, whole[4:20])
        assert fetch(url, headers={"Range": "bytes=-16"}).content == whole[-16:]

    def test_gdal_can_stream_it(self, assets, delivered):
        [item] = delivered.client.storage.items_of_order(delivered.whole)
        [href] = [asset.href for asset in item.assets.values() if "data" in asset.roles]
        with rasterio.open(f"/vsicurl/{assets.download_url(href)}") as raster:
            assert raster.count == 4
            assert raster.read(1, window=((0, 4), (0, 4))).shape == (4, 4)

    @pytest.mark.parametrize("asset", [NOBODY, "no-uuid"])
    def test_of_nothing(self, assets, asset):
        with pytest.raises(NotFound, match=asset):
            assets.download_url(asset)

    @pytest.mark.parametrize("form", ["{id}", "{url}/v2/assets/{id}", "{url}/v2/assets/{id}/download-url"])
    def test_on_the_wire(self, script, scripted, form):
        path = f"/v2/assets/{ASSET}/download-url"
        script.on(path, (503, {}, {}), "cut", (200, {"url": "https://bucket.example.com/x?sig=1"}, {}))
        url = scripted.download_url(form.format(id=ASSET, url=script.url))
        assert url == "https://bucket.example.com/x?sig=1"
        assert [(one["method"], one["body"]) for one in script.requests(path)] == [("POST", b"")] * 3

    @pytest.mark.parametrize(
        "href",
        [
            f"https://evil.example.com/v2/assets/{ASSET}",
            "{url}.evil.example.com/v2/assets/" + ASSET,
            "{url}@evil.example.com/v2/assets/" + ASSET,
            "//evil.example.com/v2/assets/" + ASSET,
            f"/v2/assets/{ASSET}",
            "s3://bucket/file.tif",
            "file:///etc/passwd",
            "{url}/v2/orders/" + ASSET,
            "{url}/v2/assets/../orders",
            "{url}/v2/assets/../../x",
            "{url}/v2/assets/" + ASSET + "/../../orders",
            "{url}/v2/assets/stac/search",
            "{url}/v2/assets/..",
            "{url}/v2/assets/.",
            "{url}/v2/assets/%2e%2e%2forders",
            "{url}/v2/assets/%2e%2e",
            "{url}/v2/assets/" + ASSET + "?x=1",
            "{url}/v2/assets/" + ASSET + "#x",
            "{url}/v2/assets/",
            "{url}/v2/assets//download-url",
            "../orders",
            "..",
            "",
            "a?b",
            "a#b",
            "%2e%2e",
            "a\\..\\b",
            "a b",
            "a\n",
        ],
    )
    def test_other_links_are_refused_before_anything_is_sent(self, script, scripted, href):
        with pytest.raises(UnexpectedAnswer, match="is not an asset of"):
            scripted.download_url(href.replace("{url}", script.url))
        assert script.asked == []

    @pytest.mark.parametrize(
        "answer",
        [{}, {"url": None}, {"url": 5}, {"url": "file:///etc/passwd"}, {"url": "gs://bucket/x"}, {"url": ""}, []],
    )
    def test_an_answer_without_a_usable_url(self, script, scripted, answer):
        script.on(f"/v2/assets/{ASSET}/download-url", (200, answer, {}))
        with pytest.raises(UnexpectedAnswer, match=f"Asset {ASSET}: the answer holds no download URL"):
            scripted.download_url(ASSET)


def fetch(url, **options) -> requests.Response:
    """As anybody could: without a token."""
    answer = requests.get(url, timeout=10, **options)
    answer.raise_for_status()
    return answer
