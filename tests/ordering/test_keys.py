"""Order keys that never change by themselves, and tags that say everything again after a crash."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape

from up42_pipelines.ordering.keys import (
    OrderTags,
    decode,
    encode,
    key_tag,
    order_key,
    partition_tag,
    pipeline_tag,
)
from up42_pipelines.ordering.selection import clip

LEGAL = re.compile(r"[A-Za-z0-9 .\-_/:]+")
SQUARE = Polygon([(13.38, 52.46), (13.4, 52.46), (13.4, 52.475), (13.38, 52.475)])
RINGED = MultiPolygon(
    [
        box(-58.5, -34.7, -58.4, -34.6),
        Polygon(box(0, 0, 1, 1).exterior.coords, [box(0.25, 0.25, 0.5, 0.5).boundary.coords]),
    ]
)
BASE = {
    "workspace_id": "8f3c1a52-0b6e-4a55-9f0e-3f7a4f0c2f11",
    "data_product": "4f1b2a90-3d5e-4c1d-8a73-2f6d0f0f9e02",
    "params": {"id": "SCENE_1"},
    "geometry": SQUARE,
    "pipeline": "berlin_daily",
    "partition": "berlin|2026-06-01",
    "generation": 1,
}
RICH = {"id": "Größe 1", "options": {"bundle": ["a", 2, None, True], "threshold": 0.5}}
GOLDEN = Path(__file__).with_name("golden_order_keys.json")
"""Orders, some of them the same order written otherwise, and their keys."""


def key(**changes):
    return order_key(**{**BASE, **changes})


class TestOrderKey:
    @pytest.mark.parametrize("golden", json.loads(GOLDEN.read_text()), ids=lambda golden: golden["name"])
    def test_golden(self, golden):
        # Another key here means: every order placed so far is bought again.
        options = {name: value for name, value in golden.items() if name not in ("name", "key")}
        area = options.pop("geometry")
        assert order_key(**options, geometry=area and shape(area)) == golden["key"]

    def test_golden_in_another_process_with_another_hash_seed(self):
        program = """
import json, sys
from shapely.geometry import shape
from up42_pipelines.ordering.keys import order_key
for options in json.load(sys.stdin):
    area, _ = options.pop("geometry"), (options.pop("name"), options.pop("key"))
    print(order_key(**options, geometry=area and shape(area)))
"""
        seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=GOLDEN.read_text(),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [golden["key"] for golden in json.loads(GOLDEN.read_text())]

    def test_golden_says_which_are_the_same(self):
        """What follows a comma in a name is only another way of writing the same order."""
        keys: dict[str, set[str]] = {}
        for golden in json.loads(GOLDEN.read_text()):
            keys.setdefault(golden["name"].partition(", ")[0], set()).add(golden["key"])
        assert all(len(same) == 1 for same in keys.values())
        assert len(set.union(*keys.values())) == len(keys)

    def test_is_32_hexadecimal_digits(self):
        assert re.fullmatch(r"[0-9a-f]{32}", key())

    def test_generation_is_1_when_not_given(self):
        options = {name: value for name, value in BASE.items() if name != "generation"}
        assert order_key(**options) == key(generation=1)

    def test_order_of_params_does_not_matter_at_any_depth(self):
        turned = {"options": dict(reversed(RICH["options"].items())), "id": RICH["id"]}
        assert list(turned) != list(RICH)
        assert key(params=turned) == key(params=RICH)

    def test_whole_coordinates_may_be_ints(self):
        ints = shape({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]})
        floats = shape(
            {"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]]}
        )
        assert key(geometry=ints) == key(geometry=floats)

    def test_zero_has_no_sign(self):
        assert key(geometry=box(-1e-9, -0.0, 1, 1)) == key(geometry=box(0, 0, 1, 1))

    def test_height_does_not_matter(self):
        assert key(geometry=Polygon([(x, y, 7) for x, y in SQUARE.exterior.coords])) == key()

    @given(noise=st.floats(-9e-9, 9e-9))
    @settings(derandomize=True, max_examples=30, deadline=None)
    def test_noise_below_a_centimetre_does_not_matter(self, noise):
        assert key(geometry=shapely.transform(SQUARE, lambda degrees: degrees + noise)) == key()

    def test_a_centimetre_does(self):
        assert key(geometry=shapely.transform(SQUARE, lambda degrees: degrees + 1e-7)) != key()

    @given(
        radii=st.lists(st.floats(0.1, 1), min_size=3, max_size=12),
        start=st.integers(0, 11),
        backwards=st.booleans(),
    )
    @settings(derandomize=True, max_examples=60, deadline=None)
    def test_ring_start_and_direction_do_not_matter(self, radii, start, backwards):
        turn = 2 * math.pi / len(radii)
        corners = [(13 + r * math.cos(i * turn), 52 + r * math.sin(i * turn)) for i, r in enumerate(radii)]
        start %= len(corners)
        moved = corners[start:] + corners[:start]
        assert key(geometry=Polygon(moved[::-1] if backwards else moved)) == key(geometry=Polygon(corners))

    def test_order_of_parts_and_holes_does_not_matter(self):
        holes = [box(0.1, 0.1, 0.2, 0.2).boundary.coords, box(0.6, 0.6, 0.7, 0.7).boundary.coords]
        outer = box(0, 0, 1, 1).exterior.coords
        one = MultiPolygon([Polygon(outer, holes), SQUARE])
        other = MultiPolygon([SQUARE, Polygon(outer, holes[::-1])])
        assert key(geometry=one) == key(geometry=other)

    def test_every_input_matters(self):
        changes = [
            {},
            {"workspace_id": "another"},
            {"data_product": "another"},
            {"params": {"id": "SCENE_2"}},
            {"params": {"id": "SCENE_1", "bundle": None}},
            {"params": {"id": "SCENE_1", "bundle": "x"}},
            {"geometry": None},
            {"geometry": SQUARE.buffer(0.1)},
            {"geometry": RINGED},
            {"pipeline": "another"},
            {"partition": "berlin|2026-06-02"},
            {"generation": 2},
            {"pipeline": BASE["partition"], "partition": BASE["pipeline"]},
            {"workspace_id": BASE["data_product"], "data_product": BASE["workspace_id"]},
        ]
        assert len({key(**change) for change in changes}) == len(changes)

    def test_a_hole_matters(self):
        assert key(geometry=Polygon(box(0, 0, 1, 1).exterior.coords, [box(0.4, 0.4, 0.6, 0.6).boundary.coords])) != key(
            geometry=box(0, 0, 1, 1)
        )

    def test_params_that_json_does_not_know_are_refused(self):
        with pytest.raises(ValueError, match="JSON compliant"):
            key(params={"id": "SCENE_1", "threshold": math.nan})


BERLIN = Polygon([(13.38, 52.46), (13.4, 52.46), (13.41, 52.47), (13.4, 52.475), (13.38, 52.475)])
AROUND = Polygon([(13.2, 52.3), (13.6, 52.35), (13.55, 52.6), (13.15, 52.55)])
FIJI = MultiPolygon([box(179.5, -17, 180, -16), box(-180, -17, -179.5, -16)])


class TestClippedAreas:
    """A library that cuts areas in another way than the one before would have everything bought again."""

    @pytest.mark.parametrize(
        ("footprint", "aoi", "keys"),
        [
            (AROUND, BERLIN, ["ecdfa3ff46155003220977ce024b4f91"]),
            (
                MultiPolygon(
                    [
                        Polygon([(13.2, 52.3), (13.39, 52.3), (13.392, 52.6), (13.2, 52.6)]),
                        Polygon([(13.39, 52.3), (13.6, 52.3), (13.6, 52.6), (13.392, 52.6)]),
                    ]
                ),
                BERLIN,
                ["ecdfa3ff46155003220977ce024b4f91"],
            ),
            (
                Polygon([(13.2, 52.3), (13.396, 52.46), (13.391, 52.5), (13.15, 52.55)]),
                BERLIN,
                ["f4a8f9e184f0cad2121a06332e7d7a05"],
            ),
            (
                AROUND.difference(Polygon([(13.388, 52.463), (13.393, 52.465), (13.39, 52.47)])),
                BERLIN,
                ["827b7e3e7b542d8691ae1296f844a9de", "488bb9a88ad0636c28c6bdf62126cdd2"],
            ),
            (
                Polygon([(179.2, -18.1), (181.3, -17.9), (180.9, -15.2), (178.8, -15.4)]),
                FIJI,
                ["ca4bc3cc5d2082d9cb8f4d9d06eaf2ad", "ab2e9aaa66f2947cbbb0c52d1848bf78"],
            ),
        ],
        ids=["inside", "across a seam", "cut", "around a hole", "across the antimeridian"],
    )
    def test_golden(self, footprint, aoi, keys):
        what = {"workspace_id": "w", "data_product": "p", "params": {"id": "s"}, "pipeline": "x", "partition": "y"}
        assert [order_key(**what, geometry=area) for area in clip(mapping(footprint), aoi)] == keys


class TestSpelling:
    @pytest.mark.parametrize(
        ("text", "spelled"),
        [
            ("berlin|2026-06-01", "berlin/2026-06-01"),
            ("v1.2_a-b", "v1.2_a-b"),
            ("a/b", "a:2Fb"),
            ("a b", "a:20b"),
            (":41", ":3A41"),
            ("Köln", "K:C3:B6ln"),
            ("a,b\n", "a:2Cb:0A"),
            ("", ""),
        ],
    )
    def test_examples(self, text, spelled):
        assert encode(text) == spelled
        assert decode(spelled) == text

    @given(st.text())
    @settings(derandomize=True, deadline=None)
    def test_any_text_comes_back_and_is_spelled_in_tag_characters(self, text):
        assert decode(encode(text)) == text
        assert not encode(text) or LEGAL.fullmatch(encode(text))

    @given(st.text(alphabet=":/|2F3Aa% é"))
    @settings(derandomize=True, deadline=None)
    def test_also_text_that_looks_spelled_already(self, text):
        assert decode(encode(text)) == text


@st.composite
def order_tags(draw):
    names = st.text(min_size=1, max_size=40)
    return OrderTags(
        pipeline=draw(names),
        partition=draw(names),
        key=draw(st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)),
        credits=draw(st.integers(0, 10**9)),
    )


OURS = OrderTags(pipeline="berlin daily", partition="berlin|2026-06-01", key="0" * 32, credits=310)


class TestOrderTags:
    def test_examples(self):
        assert OURS.to_tags() == (
            "pipeline:berlin:20daily",
            "partition:berlin:20daily/berlin/2026-06-01",
            "key:00000000000000000000000000000000",
            "credits:310",
        )
        assert OURS.to_tags()[:3] == (
            pipeline_tag("berlin daily"),
            partition_tag("berlin daily", "berlin|2026-06-01"),
            key_tag("0" * 32),
        )

    @given(order_tags(), st.randoms(use_true_random=False))
    @settings(derandomize=True, deadline=None)
    def test_come_back_in_any_order(self, ours, random):
        tags = list(ours.to_tags())
        random.shuffle(tags)
        assert OrderTags.read(tags) == ours

    @given(order_tags())
    @settings(derandomize=True, deadline=None)
    def test_are_few_distinct_and_legal(self, ours):
        tags = ours.to_tags()
        assert len(set(tags)) == len(tags) <= 30
        assert all(LEGAL.fullmatch(tag) for tag in tags)

    @pytest.mark.parametrize("partition", ["a|b", "a", "|a", "a|a|a"])
    def test_a_partition_that_begins_like_the_pipeline(self, partition):
        ours = OrderTags(pipeline="a", partition=partition, key="k", credits=1)
        assert OrderTags.read(ours.to_tags()) == ours

    def test_other_tags_are_ignored(self):
        assert OrderTags.read(["project x", "keyring", "", *OURS.to_tags(), "credit:9", "Pipeline:z"]) == OURS

    @pytest.mark.parametrize("missing", ["pipeline:", "partition:", "key:"])
    def test_none_without_one_of_the_three(self, missing):
        assert OrderTags.read([tag for tag in OURS.to_tags() if not tag.startswith(missing)]) is None

    @pytest.mark.parametrize("tags", [None, [], (), ["harbour watch", "2026"]])
    def test_none_when_not_ours(self, tags):
        assert OrderTags.read(tags) is None

    @pytest.mark.parametrize(
        "damaged",
        [
            ["pipeline::FF", "partition:a/b", "key:k"],
            ["pipeline:a", "partition:a/:C3", "key:k"],
            ["pipeline:a", "partition:a/:C3:28", "key:k"],
            ["pipeline:a", "partition:b/2026", "key:k"],
            ["pipeline:a", "partition:2026", "key:k"],
        ],
    )
    def test_none_when_damaged(self, damaged):
        assert OrderTags.read(damaged) is None

    @pytest.mark.parametrize("price", [[], ["credits:"], ["credits:-3"], ["credits:many"], ["credits:²"]])
    def test_an_unreadable_price_loses_no_order(self, price):
        read = OrderTags.read([*OURS.to_tags()[:3], *price])
        assert read == OrderTags(pipeline=OURS.pipeline, partition=OURS.partition, key=OURS.key, credits=0)
