"""What answers say, and when they are not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.lake.transfer.plan import Fault, Part, Plan, check_continuation, read_plan

RANGED = {"content-range": "bytes 0-99/250", "content-length": "100", "etag": '"v1"', "x-goog-generation": "7"}


def plan_of(status=206, part_bytes=100, **headers):
    return read_plan(
        status, {**RANGED, **{name.replace("_", "-"): value for name, value in headers.items()}}, part_bytes
    )


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_parts_cover_the_object_without_gaps(size, part_bytes):
    plan = Plan(
        size=size, etag='"v1"', generation=None, crc32c=None, md5=None, content_type=None, filename=None, ranged=True,
        part_bytes=part_bytes,
    )  # fmt: skip
    parts = plan.parts
    assert [part.index for part in parts] == list(range(len(parts)))
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == size
    assert all(part.stop - part.start == part_bytes for part in parts[:-1])


def test_the_first_ranged_answer_is_the_plan():
    plan = plan_of(x_goog_hash="crc32c=AAAAAA==,md5=xyz=", content_disposition="attachment; filename=a.tif")
    assert (plan.size, plan.etag, plan.generation, plan.ranged) == (250, '"v1"', "7", True)
    assert (plan.crc32c, plan.md5, plan.filename) == ("AAAAAA==", "xyz=", "a.tif")
    assert plan.parts[2] == Part(index=2, start=200, stop=250)


def test_a_server_without_ranges_gives_one_part():
    plan = plan_of(status=200, content_length="250")
    assert (plan.size, plan.ranged) == (250, False)
    assert plan.parts == (Part(index=0, start=0, stop=250),)
    endless = plan_of(status=200, content_length="", transfer_encoding="chunked")
    assert endless.parts == (Part(index=0, start=0, stop=None),)


@pytest.mark.parametrize(
    ("headers", "unranged"),
    [
        ({"content_range": "bytes 1-100/250"}, False),
        ({"content_range": "bytes 0-98/250", "content_length": "99"}, False),
        ({"content_range": "bytes 0-249/250", "content_length": "250"}, False),
        ({"content_range": "bytes 0-99/50"}, False),
        ({"content_range": ""}, False),
        ({"content_range": "bytes 0-99/9999999999999999999999"}, False),
        ({"content_length": "90"}, False),
        ({"content_range": "bytes 0-99/*"}, True),
        ({"etag": 'W/"v1"'}, True),
        ({"etag": ""}, True),
    ],
)
def test_a_beginning_that_cannot_be_used(headers, unranged):
    with pytest.raises(Fault) as caught:
        plan_of(**headers)
    assert not caught.value.final
    assert caught.value.unranged is unranged


def test_a_weak_etag_is_enough_for_what_came_in_one_answer():
    plan = plan_of(content_range="bytes 0-99/100", etag='W/"v1"')
    assert (plan.size, plan.ranged) == (100, False)


@pytest.mark.parametrize("status", [400, 401, 403, 408, 429, 500, 503])
def test_what_may_heal_is_not_final(status):
    with pytest.raises(Fault, match=str(status)) as caught:
        read_plan(status, {"retry-after": "3"}, 100)
    assert not caught.value.final
    assert caught.value.retry_after_s == (3 if status in {408, 429, 500, 503} else None)


@pytest.mark.parametrize("status", [204, 304, 404, 410, 451])
def test_what_cannot_heal_is_final(status):
    with pytest.raises(Fault, match=str(status)) as caught:
        read_plan(status, {}, 100)
    assert caught.value.final


NEXT = {**RANGED, "content-range": "bytes 100-199/250"}


def test_the_next_range():
    check_continuation(plan_of(), 206, NEXT, 100, 200)
    check_continuation(plan_of(), 206, {**NEXT, "content-range": "bytes 100-199/*"}, 100, 200)
    without = {name: value for name, value in NEXT.items() if name != "x-goog-generation"}
    check_continuation(plan_of(), 206, without, 100, 200)


@pytest.mark.parametrize(
    ("status", "headers", "changed"),
    [
        (200, {}, True),
        (412, {}, True),
        (416, {}, True),
        (206, {"etag": '"v2"'}, True),
        (206, {"etag": 'W/"v1"'}, True),
        (206, {"etag": ""}, True),
        (206, {"x-goog-generation": "8"}, True),
        (206, {"content-range": "bytes 100-199/251"}, True),
        (206, {"content-range": "bytes 101-199/250"}, False),
        (206, {"content-range": "bytes 100-198/250"}, False),
        (206, {"content-range": "bytes 100-249/250"}, False),
        (206, {"content-range": ""}, False),
        (206, {"content-length": "99"}, False),
        (403, {}, False),
        (503, {}, False),
    ],
)
def test_another_object_is_told_from_another_range(status, headers, changed):
    with pytest.raises(Fault) as caught:
        check_continuation(plan_of(), status, {**NEXT, **headers}, 100, 200)
    assert caught.value.changed is changed
    assert not caught.value.final
