"""Ranges of partitions, as people write them."""

import pytest

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.partitions import date_by_aoi, partitions_in

PARTITIONS = date_by_aoi(["berlin", "rome"], start_date="2026-06-01")


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ("2026-06-02", ["berlin|2026-06-02", "rome|2026-06-02"]),
        ("rome|2026-06-02", ["rome|2026-06-02"]),
        (
            "2026-06-30..2026-07-01",
            ["berlin|2026-06-30", "berlin|2026-07-01", "rome|2026-06-30", "rome|2026-07-01"],
        ),
        (" berlin|2026-06-01 .. berlin|2026-06-02 ", ["berlin|2026-06-01", "berlin|2026-06-02"]),
        ("rome|2026-06-02..rome|2026-06-02", ["rome|2026-06-02"]),
    ],
)
def test_a_range_means_its_partitions(wanted, keys):
    assert partitions_in(PARTITIONS, wanted) == keys
    assert all(map(PARTITIONS.has_partition_key, keys))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("", "Which partitions"),
        ("2026-06-01..", "Which partitions"),
        ("..2026-06-01", "Which partitions"),
        ("berlin", "'berlin' is no partition; there are those of 2026-06-01 to "),
        ("2026-05-31", "'2026-05-31' is no partition; there are those of 2026-06-01 to "),
        ("2026-06-01..2999-01-01", "'2999-01-01' is no partition"),
        ("2026-06-01...2026-06-02", "'.2026-06-02' is no partition"),
        ("paris|2026-06-01", "there is no AOI 'paris'; there are berlin, rome"),
        ("|2026-06-01", "there is no AOI ''"),
        ("2026-06-02..2026-06-01", "ends before it begins"),
        ("berlin|2026-06-01..rome|2026-06-02", "different AOIs"),
        ("berlin|2026-06-01..2026-06-02", "different AOIs"),
    ],
)
def test_what_is_no_range_is_refused_with_a_remedy(wanted, words):
    with pytest.raises(ConfigurationError) as refused:
        partitions_in(PARTITIONS, wanted)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "definition", [date_by_aoi(["a"], start_date="2999-01-01"), date_by_aoi([], start_date="2026-06-01")]
)
def test_a_definition_without_partitions_says_so(definition):
    with pytest.raises(ConfigurationError, match="There are no partitions yet"):
        partitions_in(definition, "2026-06-01")
