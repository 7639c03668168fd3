"""One file, step by step; what threads do with it is in test_delivery and test_download."""

from __future__ import annotations

import random

import pytest

from up42_pipelines.lake.transfer.file_transfer import FileTransfer, Interrupted, Wanted
from up42_pipelines.lake.transfer.parts import ObjectChanged, Source
from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.pool import Pool

CONTENT = random.Random(3).randbytes(25_000)


@pytest.fixture
def begun(files, tmp_path):
    """A file of three parts that was opened and begun."""
    href = files.put("scene", CONTENT)
    wanted = Wanted(name="scene", sign=lambda: files.sign(href), target=tmp_path / "scene")
    with Pool(Patience(attempts=2, silence_s=5, block_s=5, first_pause_s=0.001)) as pool:
        file = FileTransfer(wanted, Source(wanted.sign, pool, part_bytes=10_000))
        file.open()
        file.plan = file.begin()
        yield file
        file.leave(resumable=False)


def test_all_parts_are_the_file(begun):
    for part in reversed(begun.plan.parts):
        begun.fetch(part)
    assert begun.arrived == begun.total == len(CONTENT)
    assert begun.finish().path.read_bytes() == CONTENT


def test_a_part_that_is_missing_is_noticed_at_the_end(begun, tmp_path):
    begun.fetch(begun.plan.parts[0])
    begun.fetch(begun.plan.parts[2])
    with pytest.raises(ObjectChanged, match="15000 bytes arrived of 25000"):
        begun.finish()
    assert not (tmp_path / "scene").exists()


@pytest.mark.parametrize("why", ["stale", "stopped"])
def test_what_is_of_no_use_any_more_is_not_fetched_to_its_end(begun, why):
    setattr(begun, why, True)
    with pytest.raises(Interrupted):
        begun.fetch(begun.plan.parts[0])
    assert begun.arrived == 0
