"""The GeoParquet index: finds what a scan of all items finds, in any state that writers leave it in."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import rustac

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import index, parts, table
from up42_pipelines.lake.stac.table import Placed
from up42_pipelines.lake.stac.validation import problems

START = datetime(2024, 1, 1, tzinfo=UTC)
FOLDER = ("collections", "c")


@pytest.fixture
def lake():
    return Lake(f"memory://{uuid.uuid4()}")


@pytest.fixture
def small_groups(monkeypatch):
    """Row groups of a few rows, so that a few hundred items are as many groups as a million otherwise."""
    monkeypatch.setattr(table, "ROW_GROUP_ROWS", 16)


def ring(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def item(name, *, west=10.0, south=50.0, width=0.5, cloud=5.0, time=START, until=None, **properties):
    east = west + width
    bbox = [west, south, east if east <= 180 else east - 360, south + 0.5]
    geometry = {"type": "Polygon", "coordinates": [ring(west, south, east, south + 0.5)]}
    if east > 180:
        halves = [[ring(west, south, 180, south + 0.5)], [ring(-180, south, east - 360, south + 0.5)]]
        geometry = {"type": "MultiPolygon", "coordinates": halves}
    times = {"datetime": f"{time:%Y-%m-%dT%H:%M:%S}Z"}
    if until is not None:
        times = {"datetime": None, "start_datetime": times["datetime"], "end_datetime": f"{until:%Y-%m-%dT%H:%M:%S}Z"}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": ["https://stac-extensions.github.io/eo/v2.0.0/schema.json"],
        "id": name,
        "geometry": geometry,
        "bbox": bbox,
        "properties": {**times, **({} if cloud is None else {"eo:cloud_cover": cloud}), **properties},
        "links": [{"rel": "collection", "href": "../collection.json", "type": "application/json"}],
        "assets": {f"{name}.tif": {"href": f"./{name}.tif", "roles": ["data"], "file:size": 10}},
        "collection": "c",
    }


def anywhere(count, seed=0):
    """Items all over the world and two years, some across the antimeridian, over a period, or without cloud cover."""
    lot = random.Random(seed)
    for number in range(count):
        time = START + timedelta(days=lot.randrange(730))
        yield item(
            f"i{number}",
            west=round(lot.uniform(-180, 180), 2),
            south=round(lot.uniform(-80, 79), 2),
            width=lot.choice([0.1, 2, 40]),
            cloud=lot.choice([None, 0, 12.5, 60, 100]),
            time=time,
            until=lot.choice([None, time + timedelta(days=lot.randrange(60))]),
        )


def add(lake, *items, collection="c"):
    placed = [Placed(one, lake.href("collections", collection, one["id"]), f"{one['id']}.json") for one in items]
    index.add_rows(lake, collection, placed, seen=index.listing(lake, collection))


def remove(lake, *names):
    index.remove_rows(lake, "c", [(name, name) for name in names], seen=index.listing(lake, "c"))


def found(lake, **query):
    return [one["id"] for one in index.search(lake, "c", **query)]


def names(lake):
    return lake.list(*FOLDER, "index")


def touches(item, *, bbox=None, datetime_range=None, max_cloud_cover_percent=None):
    """The same question, asked of one document."""
    properties = item["properties"]
    first = datetime.fromisoformat(properties.get("start_datetime") or properties["datetime"])
    last = datetime.fromisoformat(properties.get("end_datetime") or properties["datetime"])
    answers = []
    if bbox is not None:
        west, south, east, north = bbox
        here = item["bbox"]
        spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        mine = [(here[0], here[2])] if here[0] <= here[2] else [(here[0], 180), (-180, here[2])]
        answers.append(any(a <= right and left <= b for a, b in spans for left, right in mine))
        answers.append(here[1] <= north and here[3] >= south)
    if datetime_range is not None:
        start, end = datetime_range
        answers += [start is None or last >= start, end is None or first <= end]
    if max_cloud_cover_percent is not None:
        answers.append(properties.get("eo:cloud_cover", 101) <= max_cloud_cover_percent)
    return all(answers)


def queries(count, seed=1):
    lot = random.Random(seed)
    for _ in range(count):
        west, south = lot.uniform(-180, 180), lot.uniform(-90, 60)
        east = (west + lot.choice([1, 30, 200]) + 180) % 360 - 180
        start = lot.choice([None, START + timedelta(days=lot.randrange(700))])
        end = lot.choice([None, (start or START) + timedelta(days=lot.randrange(200))])
        query = {
            "bbox": (west, south, east, south + 30),
            "datetime_range": (start, end),
            "max_cloud_cover_percent": lot.choice([0, 12.5, 50]),
        }
        yield {name: value for name, value in query.items() if lot.random() < 0.7}


def check_search(lake, count, asked):
    everything = list(anywhere(count))
    for start in range(0, count, 80):
        add(lake, *everything[start : start + 80])
    hits = 0
    for query in queries(asked):
        wanted = {one["id"] for one in everything if touches(one, **query)}
        got = found(lake, **query)
        assert set(got) == wanted
        assert len(got) == len(wanted)
        hits += len(wanted)
    assert hits > asked


def test_search_finds_what_a_scan_finds(lake, small_groups):
    check_search(lake, 200, 25)


def test_search_of_files_on_this_machine(tmp_path, small_groups):
    check_search(Lake(str(tmp_path)), 100, 5)


def test_newest_first_and_no_more_than_asked_for(lake):
    add(lake, *(item(f"i{day}", time=START + timedelta(days=day % 7)) for day in range(20)))
    got = [one["properties"]["datetime"] for one in index.search(lake, "c")]
    assert got == sorted(got, reverse=True)
    assert got[0] == "2024-01-07T00:00:00Z"
    assert found(lake, limit=4) == found(lake)[:4]


def test_all_collections(lake):
    add(lake, item("one"))
    add(lake, item("two", time=START + timedelta(days=1)), collection="d")
    assert [one["id"] for one in index.search(lake)] == ["two", "one"]
    assert found(lake) == ["one"]


def test_a_lake_without_an_index(lake):
    assert index.search(lake) == index.search(lake, "c") == []


@pytest.mark.parametrize("bbox", [(0, 1, 2), (0, 3, 1, 2), (0, float("nan"), 1, 2)])
def test_what_is_no_box(lake, bbox):
    with pytest.raises(ValueError, match="is no box"):
        index.search(lake, "c", bbox=bbox)


def test_a_time_without_zone_is_utc(lake):
    add(lake, item("i", time=START))
    naive = START.replace(tzinfo=None)
    assert found(lake, datetime_range=(naive, naive)) == ["i"]


def test_few_row_groups_are_read(tmp_path, small_groups, monkeypatch):
    lake = Lake(str(tmp_path))
    add(lake, *anywhere(600))
    (part,) = index.listing(lake, "c").parts
    read = []
    original = pq.ParquetFile.read_row_groups

    def watched(self, groups, **options):
        read.append(len(groups))
        return original(self, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", watched)
    box = (20, 40, 25, 45)
    assert found(lake, bbox=box, datetime_range=(START, START + timedelta(days=60))) is not None
    with parts.open_part(lake, FOLDER, part) as file:
        assert file.metadata.num_row_groups >= 38
        assert max(read) <= file.metadata.num_row_groups / 3


class TestStates:
    """Whatever writers leave behind, the newest row of an item counts."""

    def test_an_item_written_again(self, lake):
        add(lake, item("a", cloud=5), item("b", cloud=5))
        add(lake, item("a", cloud=90))
        assert found(lake, max_cloud_cover_percent=10) == ["b"]
        assert found(lake) == ["a", "b"]
        assert index.search(lake, "c", max_cloud_cover_percent=95)[0]["properties"]["eo:cloud_cover"] == 90
        add(lake, item("a", cloud=1))
        assert found(lake, max_cloud_cover_percent=10) == ["a", "b"]

    def test_removed_and_back(self, lake):
        add(lake, item("a"), item("b"))
        remove(lake, "a")
        assert found(lake) == ["b"]
        assert index.digests(lake, "c").keys() == {"b"}
        add(lake, item("a"))
        assert found(lake) == ["a", "b"]
        index.compact(lake, "c", everything=True)
        assert found(lake) == ["a", "b"]

    def test_a_clock_that_is_behind_does_not_matter(self, lake, monkeypatch):
        add(lake, item("a", cloud=5))
        monkeypatch.setattr(parts.time, "time_ns", lambda: 0)
        add(lake, item("a", cloud=90))
        assert found(lake, max_cloud_cover_percent=10) == []
        remove(lake, "a")
        assert found(lake) == []

    def test_a_merge_keeps_the_newest(self, lake):
        for cloud in (1, 2, 3):
            add(lake, item("a", cloud=cloud), item(f"b{cloud}"))
        remove(lake, "b2")
        index.compact(lake, "c", everything=True)
        (part,) = index.listing(lake, "c").parts
        assert part.rows == 3
        assert found(lake, max_cloud_cover_percent=2.5) == []
        assert found(lake) == ["a", "b1", "b3"]

    def test_a_merge_that_was_killed_before_it_removed(self, lake, monkeypatch):
        add(lake, item("a", cloud=1), item("b"))
        add(lake, item("a", cloud=90))
        with monkeypatch.context() as killed:
            killed.setattr(Lake, "remove", lambda *_: None)
            parts.merge(lake, FOLDER, index.listing(lake, "c").parts)
        assert len(index.listing(lake, "c").parts) == 3
        assert found(lake) == ["a", "b"]
        assert found(lake, max_cloud_cover_percent=10) == ["b"]
        index.compact(lake, "c", everything=True)
        assert [part.rows for part in index.listing(lake, "c").parts] == [2]

    def test_a_merge_that_slept_while_others_wrote(self, lake, monkeypatch):
        """It publishes what it had read long ago, after the item was changed, removed, and all was merged."""
        add(lake, item("a", cloud=1), item("b"), item("c"))
        add(lake, item("d"))
        old = index.listing(lake, "c").parts
        write = parts.write_part

        def slept(*arguments):
            monkeypatch.setattr(parts, "write_part", write)
            add(lake, item("a", cloud=90))
            remove(lake, "b")
            index.compact(lake, "c", everything=True)
            return write(*arguments)

        monkeypatch.setattr(parts, "write_part", slept)
        parts.merge(lake, FOLDER, old)
        assert found(lake) == ["a", "c", "d"]
        assert found(lake, max_cloud_cover_percent=10) == ["c", "d"]
        index.compact(lake, "c", everything=True)
        assert found(lake) == ["a", "c", "d"]

    def test_a_merge_that_was_overtaken_writes_nothing(self, lake):
        add(lake, item("a"))
        add(lake, item("b"))
        old = index.listing(lake, "c").parts
        assert parts.merge(lake, FOLDER, old)
        before = names(lake)
        assert not parts.merge(lake, FOLDER, old)
        assert names(lake) == before

    def test_a_reader_whose_part_is_merged_away_looks_again(self, lake, monkeypatch):
        add(lake, item("a"))
        add(lake, item("b"))
        opened, once = parts.opened, iter([True])

        def disturbed(*arguments):
            if next(once, False):
                index.compact(lake, "c", everything=True)
            return opened(*arguments)

        monkeypatch.setattr(parts, "opened", disturbed)
        assert found(lake) == ["a", "b"]

    def test_who_is_disturbed_forever_says_so(self, lake, monkeypatch):
        add(lake, item("a"))

        def gone(*_):
            raise FileNotFoundError

        monkeypatch.setattr(parts, "opened", gone)
        with pytest.raises(LakeError, match="changed 20 times"):
            found(lake)

    def test_a_damaged_part_is_named(self, lake):
        add(lake, item("a"))
        (name,) = names(lake)
        lake.write_bytes(lake.read_bytes(*FOLDER, "index", name)[:-20], *FOLDER, "index", name)
        with pytest.raises(LakeError, match=rf"{name} cannot be read .* lake repair"):
            found(lake)
        assert index.remove_damaged(lake, "c") == (f"collections/c/index/{name}",)
        assert found(lake) == []

    def test_damage_amid_a_part(self, lake):
        add(lake, *anywhere(50))
        (name,) = names(lake)
        content = bytearray(lake.read_bytes(*FOLDER, "index", name))
        content[4:2000] = bytes(1996)
        lake.write_bytes(bytes(content), *FOLDER, "index", name)
        with pytest.raises(LakeError, match=rf"{name} cannot be read"):
            index.read_rows(lake, "c")
        assert len(index.remove_damaged(lake, "c")) == 1

    def test_other_files_are_not_looked_at(self, lake):
        add(lake, item("a"))
        lake.write_bytes(b"", *FOLDER, "index", "notes.parquet")
        assert found(lake) == ["a"]


def test_parts_stay_few_and_rows_are_seldom_rewritten(tmp_path):
    sizes, written = [], 0
    for _ in range(3000):
        sizes.append(1)
        while chosen := parts.to_merge(
            [parts.Part(name=str(number), revision=0, rows=rows) for number, rows in enumerate(sizes)]
        ):
            gone = Counter(part.rows for part in chosen)
            sizes = [*(Counter(sizes) - gone).elements(), sum(part.rows for part in chosen)]
            written += sizes[-1]
        assert len(sizes) <= 7 * 5
    assert sum(sizes) == 3000
    assert written <= 3000 * 5


class TestReaders:
    """What others make of the files."""

    @pytest.fixture
    def path(self, tmp_path):
        lake = Lake(str(tmp_path / "lake"))
        add(lake, self.full(), item("across", west=179.8), *anywhere(30))
        (name,) = names(lake)
        return lake.path(*FOLDER, "index", name)

    @staticmethod
    def full():
        document = item("full", title="Köln 🛰", platform="PNEO-4", instruments=["pan", "ms"], gsd=0.3)
        document["properties"] |= {
            "view:off_nadir": 12.5,
            "created": "2024-02-03T04:05:06.789Z",
            "up42-order:id": "0rder",
            "up42-user:tags": ["one", "two"],
        }
        document["links"] += [
            {"rel": "license", "href": "https://example.com/eula"},
            {"rel": "root", "href": "https://example.com/"},
        ]
        document["assets"]["a.tif"] = {
            "href": "./a.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "title": "All bands",
            "roles": ["data"],
            "file:size": 2**40,
            "file:checksum": "1220" + "ab" * 32,
            "proj:code": "EPSG:32633",
            "proj:shape": [7000, 6500],
            "proj:transform": [0.5, 0.0, 500000.0, 0.0, -0.5, 5800000.0],
            "proj:bbox": [500000.0, 5796500.0, 503250.0, 5800000.0],
            "bands": [
                {"name": "b1", "data_type": "uint16", "nodata": 0, "eo:common_name": "blue"},
                {"name": "b2", "data_type": "float32", "nodata": "nan"},
                {"name": "b3", "data_type": "float32", "nodata": -9999.5, "raster:scale": 0.5},
            ],
        }
        return document

    def test_nothing_is_lost_on_the_way_back(self, tmp_path):
        lake, original = Lake(str(tmp_path / "lake")), self.full()
        add(lake, original)
        (back,) = index.search(lake, "c")
        assert problems(back) == ()
        here = lake.href("collections", "c", "full")
        assert [(link["rel"], link["href"]) for link in back["links"]] == [
            ("self", f"{here}/full.json"),
            ("collection", lake.href("collections", "c", "collection.json")),
            ("license", "https://example.com/eula"),
        ]
        for asset in original["assets"].values():
            asset["href"] = asset["href"].replace(".", here, 1)
        original["properties"]["created"] = "2024-02-03T04:05:06.789000Z"
        assert back == {**original, "links": back["links"]}

    def test_what_a_column_cannot_hold_is_left_out(self, tmp_path):
        lake = Lake(str(tmp_path / "lake"))
        odd = item("odd", gsd="half a metre", title=["no", "text"], instruments="pan", created="yesterday")
        odd["properties"] |= {
            "eo:cloud_cover": True,
            "view:azimuth": 10**400,
            "platform": "\ud800",
            "up42-user:tags": [1],
        }
        odd["assets"]["odd.tif"] |= {"file:size": "many", "bands": [7, {"nodata": "some"}], "proj:shape": [1.5]}
        odd["geometry"] = odd.pop("bbox") and None
        add(lake, odd)
        (back,) = index.search(lake, "c")
        assert back["properties"] == {"datetime": "2024-01-01T00:00:00Z", "platform": "?"}
        assert back["geometry"] is None
        assert "bbox" not in back
        assert back["assets"]["odd.tif"]["bands"] == [{}, {}]
        assert index.search(lake, "c", bbox=(-180, -90, 180, 90)) == []

    def test_rustac_reads_valid_items(self, path):
        async def read():
            return await rustac.read(path)

        collection = asyncio.run(read())
        assert len(collection["features"]) == 32
        for feature in collection["features"]:
            if feature["properties"].get("start_datetime"):
                feature["properties"].setdefault("datetime", None)
            assert problems(feature) == ()
        full = next(feature for feature in collection["features"] if feature["id"] == "full")
        assert full["assets"]["a.tif"]["file:size"] == 2**40
        assert full["assets"]["a.tif"]["bands"][0]["eo:common_name"] == "blue"

    def test_duckdb_reads_assets_by_key(self, path):
        query = (
            "select assets['a.tif']['proj:code'], bbox.xmin, geometry::varchar from read_parquet(?) "
            "where id = 'full' and datetime >= '2023-12-31'"
        )
        (row,) = duckdb.connect().execute(query, [path]).fetchall()
        assert row[:2] == ("EPSG:32633", 10.0)
        assert row[2].startswith("POLYGON")

    def test_pyarrow_reads_the_folder(self, path):
        lake = Lake(path.removesuffix("/collections/c/index/" + path.rpartition("/")[2]))
        remove(lake, "i3")
        assert pa.dataset.dataset(path.rpartition("/")[0]).count_rows() == 32

    def test_what_geoparquet_1_1_asks_for(self, path):
        geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
        column = geo["columns"][geo["primary_column"]]
        assert (geo["version"], column["encoding"]) == ("1.1.0", "WKB")
        assert column["geometry_types"] == ["MultiPolygon", "Polygon"]
        assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
