"""A journal is believed line by line, and only when it is one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.lake.transfer.part_journal import entry, opening, read_journal
from up42_pipelines.lake.transfer.plan import Plan

PLAN = Plan(
    size=250, etag='"v1"', generation="7", crc32c="AAAAAA==", md5=None, content_type="image/tiff", filename="a.tif",
    ranged=True, part_bytes=100,
)  # fmt: skip


@given(st.dictionaries(st.integers(0, 10**9 - 1), st.integers(0, 2**32 - 1)))
def test_what_was_written_is_read(entries):
    content = opening(PLAN) + b"".join(entry(*item) for item in entries.items())
    assert read_journal(content) == (PLAN, entries)


@given(st.integers(0, 134))  # the length of twelve lines
def test_a_torn_end_is_not_there(length):
    lines = [entry(index, 0xFFFFFFFF - index) for index in range(12)]
    content = opening(PLAN) + b"".join(lines)
    torn = content[: len(content) - length]
    plan, entries = read_journal(torn)
    assert plan == PLAN
    assert entries == {index: 0xFFFFFFFF - index for index in range(torn.count(b"\n") - 1)}


def test_a_torn_line_in_the_middle_takes_no_other_with_it():
    content = opening(PLAN) + entry(0, 1) + b"1 00\n" + entry(2, 3) + b"\xff\xfe\n" + entry(4, 5)
    assert read_journal(content)[1] == {0: 1, 2: 3, 4: 5}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{",
        b"[]\n",
        b"null\n",
        b"{}\n0 00000000\n",
        opening(PLAN).replace(b'"version": 1', b'"version": 2'),
        opening(PLAN).replace(b'"size"', b'"length"'),
        opening(PLAN).replace(b"250", b'"250"'),
        opening(PLAN).replace(b"100", b"0"),
        opening(PLAN).replace(b"true", b"false"),
        json.dumps({"version": 1, "size": 250}).encode() + b"\n",
        b"\x00" * 4096,
    ],
)
def test_what_is_no_journal_says_nothing(content):
    assert read_journal(content) is None
