"""Job keys and the titles that carry them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.processing.keys import JobTitle, canonical_inputs, job_key

ITEM = "https://api.up42.com/v2/assets/stac/collections/c/items/i"
WHAT = {
    "workspace_id": "w",
    "process_id": "pansharpening",
    "inputs": {"title": "x", "item": ITEM, "greyWeights": [{"band": "red", "weight": 0.2}]},
    "workflow": "trees",
    "step": "sharp",
    "partition": "berlin|2026-06-01",
}
KEY = "7c1a1d4f14bd4d1b7b8db84a87a6ab1c"


def test_a_key_outlives_every_version_of_this_package():
    """Or a job that was bought with an older version would be bought again."""
    assert job_key(**WHAT) == "396d9827690a00b454c01e65e578f1b6"


@pytest.mark.parametrize(
    "change",
    [
        {"workspace_id": "w2"},
        {"process_id": "upsampling-ns"},
        {"inputs": {**WHAT["inputs"], "item": f"{ITEM}2"}},
        {"inputs": {**WHAT["inputs"], "greyWeights": [{"band": "red", "weight": 0.3}]}},
        {"workflow": "roofs"},
        {"step": "sharper"},
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


NAMES = st.text(alphabet="abcXYZ019_", min_size=1, max_size=30)
PRINTABLE = st.text(st.characters(blacklist_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=90)


def title(**changes):
    return JobTitle(**{"workflow": "trees", "step": "sharp", "partition": "a|b", "key": KEY, "credits": 7, **changes})


def test_a_title_is_found_again_whatever_version_wrote_it():
    assert str(title(partition="berlin|2026-06-01")) == f"trees.sharp berlin|2026-06-01 7 credits {KEY}"


@given(NAMES, NAMES, PRINTABLE.filter(lambda text: text == text.strip()), st.integers(0, 10**9))
@example("trees", "sharp", f"a|b 5 credits {KEY}", 7)
def test_a_title_says_what_it_was_made_of(workflow, step, partition, credits):
    made = title(workflow=workflow, step=step, partition=partition, credits=credits)
    assert JobTitle.read(str(made)) == made


@pytest.mark.parametrize(
    "changes",
    [
        {"partition": "x" * 200},
        {"partition": " "},
        {"partition": " a"},
        {"partition": "a\n"},
        {"partition": "a\u200bb"},
        {"workflow": "a-b"},
        {"workflow": "a.b"},
        {"step": ""},
        {"credits": -1},
        {"key": "trees"},
    ],
)
def test_what_a_title_would_lose_is_refused(changes):
    with pytest.raises(ConfigurationError, match="by which it is found again"):
        title(**changes)


@given(st.text(max_size=250))
@example(f"trees.sharp  7 credits {KEY}")
@example(f"trees.sharp   7 credits {KEY}")
@example(f"trees.sharp a 07 credits {KEY}")
@example(f"trees.sharp a\n 7 credits {KEY}")
@example(f"trees.sharp a 7 credits {KEY}0")
@example(f"trees.sharp a x credits {KEY}")
@example(f"trees.sharp {'x' * 200} 7 credits {KEY}")
@example(f"trees a|b 7 credits {KEY}")
@example(KEY)
@example("")
def test_the_title_of_somebody_else(text):
    assert JobTitle.read(text) is None


def test_a_job_without_a_title():
    assert JobTitle.read(None) is None
