"""What the assets that spend tell, and keep as versions."""

import uuid

import pytest

from up42_pipelines.assets.spend import data_version, remedies
from up42_pipelines.errors import ApprovalRequired


def test_the_version_of_many_purchases_fits_into_an_index():
    """PostgreSQL's holds 2704 bytes; with more, the event of what was bought could never be written."""
    ids = [str(uuid.UUID(int=number)) for number in range(1000)]
    assert len(data_version(ids).value) < 100
    assert data_version(ids) == data_version(reversed(ids))
    assert data_version(ids) != data_version(ids[1:])
    assert data_version([]).value == "none"


@pytest.mark.parametrize(("generation", "also"), [(1, "approved_by."), (2, "approved_by, and generation 2.")])
def test_what_waits_in_a_higher_generation_is_approved_there(generation, also):
    """Launched without it, the approval would adopt the first generation and leave what waits."""
    waiting = ApprovalRequired("It waits.", key="k", credits=9)
    [said] = remedies([waiting], approve_job="enhance_approve", partition="rome|2026-06-01", generation=generation)
    assert said.endswith(also)
