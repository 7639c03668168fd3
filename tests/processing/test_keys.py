"""Job keys and the titles that carry them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.processing.keys import JobTitle, canonical_inputs, job_key

ITEM = "https://api.up42.com/v2/assets/stac/collections/c/items/i"
WHAT = {
    "workspace_id": "w",
    "process_id": "pansharpening",
    "inputs": {"title": "x", "item": ITEM, "greyWeights": [{"band": "red", "weight": 0.2}]},
    "pipeline": "trees",
    "partition": "berlin|2026-06-01",
}
KEY = "7c1a1d4f14bd4d1b7b8db84a87a6ab1c"


def test_a_key_outlives_every_version_of_this_package():
    """Or a job that was bought with an older version would be bought again."""
    assert job_key(**WHAT) == "7115bb0489228c9b4dc2bbd6d2727b43"


@pytest.mark.parametrize(
    "change",
    [
        {"workspace_id": "w2"},
        {"process_id": "upsampling-ns"},
        {"inputs": {**WHAT["inputs"], "item": f"{ITEM}2"}},
        {"inputs": {**WHAT["inputs"], "greyWeights": [{"band": "red", "weight": 0.3}]}},
        {"pipeline": "roofs"},
        {"partition": "berlin|2026-06-02"},
        {"generation": 2},
    ],
)
def test_whatever_makes_another_job_makes_another_key(change):
    assert job_key(**{**WHAT, **change}) != job_key(**WHAT)


def test_title_host_and_order_of_the_inputs_do_not_matter():
    inputs = dict(reversed(WHAT["inputs"].items()))
    inputs |= {"title": "another", "item": ITEM.replace("https://api.up42.com", "http://127.0.0.1:8042") + "/"}
    assert job_key(**{**WHAT, "inputs": inputs}) == job_key(**WHAT)


def test_links_in_lists_have_no_host_either():
    assert canonical_inputs({"items": [ITEM], "title": "x"}) == {"items": ["/v2/assets/stac/collections/c/items/i"]}


@given(st.text(), st.integers(0, 10**9))
def test_a_title_says_what_it_was_made_of(label, credits):
    title = str(JobTitle(label=label, key=KEY, credits=credits))
    assert title.isprintable()
    assert len(title) <= 200
    read = JobTitle.read(title)
    assert (read.key, read.credits) == (KEY, credits)
    assert label[:100].startswith(read.label) or not label.isprintable()


def test_a_long_label_is_cut():
    assert JobTitle.read(str(JobTitle(label="x" * 300, key=KEY, credits=7))).label == "x" * 100


@pytest.mark.parametrize(
    "title", [None, "", "trees", KEY, f"trees {KEY}", f"trees 7 credits {KEY}0", f"trees x credits {KEY}"]
)
def test_the_title_of_somebody_else(title):
    assert JobTitle.read(title) is None
