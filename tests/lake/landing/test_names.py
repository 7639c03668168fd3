"""Names of an item's files."""

from __future__ import annotations

import hashlib

from up42_pipelines.lake.landing.names import FileNames


def test_no_two_files_have_one_name_whatever_the_keys():
    digest = hashlib.sha256(b"A").hexdigest()[:8]
    names = FileNames(["one.json"], {})
    made = [names.new(key, ".tif", "00") for key in (f"A-{digest}", "a", "A", "a.jp2", "one.json")]
    assert len({name.casefold() for name in made}) == len(made)
    assert made[:2] == [f"A-{digest}.tif", "a.tif"]


def test_a_name_in_use_is_for_the_same_bytes_only():
    names = FileNames([], {"ms.tif": "aa", "pan.tif": "bb"})
    assert names.new("ms", ".tif", "aa") == "ms.tif"
    other = names.new("pan", ".tif", "cc")
    assert other != "pan.tif"
    assert FileNames([], {other: "cc"}).new("pan", ".tif", "dd") == "pan.tif", "free again"
