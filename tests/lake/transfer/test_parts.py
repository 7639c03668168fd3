"""One object, part by part, as whoever streams it elsewhere uses it."""

from __future__ import annotations

import random
import threading

import google_crc32c
import pytest

from up42_pipelines.errors import TransferError
from up42_pipelines.lake.transfer.checksums import as_base64, combine
from up42_pipelines.lake.transfer.parts import ObjectChanged, Source
from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.plan import Part
from up42_pipelines.lake.transfer.pool import Pool

CONTENT = random.Random(1).randbytes(25_000)
PART_BYTES = 10_000


@pytest.fixture
def open_source(files):
    pool = Pool(Patience(attempts=3, silence_s=5, block_s=5, first_pause_s=0.001))
    sources = []

    def make(href):
        sources.append(Source(lambda: files.sign(href), pool, part_bytes=PART_BYTES))
        return sources[-1]

    yield make
    for source in sources:
        source.close()
    pool.close()


def fetch(source, part):
    body = bytearray()
    crc32c = source.fetch(part, body.extend)
    assert crc32c == google_crc32c.value(bytes(body))
    return bytes(body)


def test_parts_in_any_order_by_any_thread(files, open_source):
    source = open_source(files.put("scene", CONTENT))
    plan = source.begin()
    assert plan.crc32c == as_base64(google_crc32c.value(CONTENT))
    bodies = {}

    def work(part):
        bodies[part.index] = fetch(source, part)

    threads = [threading.Thread(target=work, args=(part,)) for part in reversed(plan.parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(bodies[index] for index in range(3)) == CONTENT
    assert len(files.requests) == 3, "the first part is the body of the first answer"
    assert source.signings == 1


def test_checksums_of_parts_combine_to_the_announced_one(files, open_source):
    source = open_source(files.put("scene", CONTENT))
    plan, whole = source.begin(), 0
    for part in plan.parts:
        whole = combine(whole, source.fetch(part, len), part.stop - part.start)
    assert as_base64(whole) == plan.crc32c


def test_a_part_is_continued_within(files, fault, open_source):
    drops = [fault(drop_after=3_000), fault(drop_after=2_000), fault(drop_after=10, reset=True)]
    source = open_source(files.put("scene", CONTENT, *drops))
    part = source.begin().parts[0]
    with pytest.raises(TransferError, match="after 3 attempts in a row"):
        fetch(source, part)
    assert fetch(source, part) == CONTENT[:PART_BYTES], "and asked for again it comes whole"


def test_progress_renews_patience(files, fault, open_source, monkeypatch):
    monkeypatch.setattr("up42_pipelines.lake.transfer.parts._PROGRESS_BYTES", 1_000)
    drops = [fault(drop_after=1_000) for _ in range(9)]
    source = open_source(files.put("scene", CONTENT, *drops))
    assert fetch(source, source.begin().parts[0]) == CONTENT[:PART_BYTES]


def test_another_object_is_said_so_and_begun_again(files, open_source):
    source = open_source(files.put("scene", CONTENT))
    _, second, _ = source.begin().parts
    files.put("scene", CONTENT[::-1], etag='"v2"')
    with pytest.raises(ObjectChanged, match="412"):
        fetch(source, second)
    assert fetch(source, source.begin().parts[1]) == CONTENT[::-1][PART_BYTES : 2 * PART_BYTES]


def test_an_object_that_goes_on_changing_is_given_up(files, open_source):
    source = open_source(files.put("scene", CONTENT))
    for turn in range(3):
        part = source.begin().parts[-1]
        files.put("scene", CONTENT, etag=f'"other{turn}"')
        if part.index:
            with pytest.raises(ObjectChanged):
                fetch(source, part)
    with pytest.raises(TransferError, match="412"):
        source.begin()
    assert "range" not in files.requests[-1][1], "the last start did without ranges"


def test_a_refusal_of_the_old_url_does_not_cost_the_new_one(files, fault, open_source, wait_for):
    """It may come late: by then another thread has signed anew."""
    late = fault(status=403, before=lambda _: wait_for(lambda: files.signed == 2))
    source = open_source(files.put("scene", CONTENT, fault(), late, fault(status=403)))
    threads = [threading.Thread(target=fetch, args=(source, part)) for part in source.begin().parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.signed == 2


def test_what_cannot_be_continued_says_why(files, fault, open_source):
    source = open_source(files.put("scene", CONTENT, fault(drop_after=7_000), ranges=False))
    with pytest.raises(ObjectChanged, match="the body ended early at byte 7000, and cannot be continued"):
        fetch(source, source.begin().parts[0])
    assert fetch(source, source.begin().parts[0]) == CONTENT


def test_an_earlier_plan_needs_no_request(files, open_source):
    href = files.put("scene", CONTENT)
    plan = open_source(href).begin()
    files.requests.clear()
    source = open_source(href)
    source.resume(plan)
    assert fetch(source, plan.parts[0]) == CONTENT[:PART_BYTES]
    ((_, headers),) = files.requests
    assert (headers["range"], headers["if-match"]) == ("bytes=0-9999", '"v1"')


def test_a_body_longer_than_its_range_never_reaches_the_next_part(files, fault, open_source):
    """Chunked, nothing in the headers tells how long it is."""
    source = open_source(files.put("scene", CONTENT))
    plan = source.begin()
    fetch(source, plan.parts[0])
    claim = {"Content-Range": "bytes 10000-19999/25000"}
    files.faults["/scene"] = [fault(chunked=True, no_range=True, claim=206, headers=claim)] * 3
    body = bytearray()
    with pytest.raises(TransferError, match="longer than announced"):
        source.fetch(plan.parts[1], body.extend)
    assert len(body) <= PART_BYTES


def test_what_a_sink_raises_is_passed_on(files, open_source):
    source = open_source(files.put("scene", CONTENT))

    def sink(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        source.fetch(source.begin().parts[0], sink)


def test_a_part_before_the_plan_is_a_mistake(files, open_source):
    with pytest.raises(ValueError, match="begin or resume first"):
        open_source(files.put("scene", CONTENT)).fetch(Part(index=0, start=0, stop=1), len)


def test_no_message_holds_a_secret(files, fault, open_source):
    source = open_source(files.put("scene", CONTENT, fault(status=404)))
    assert source.address == "the object"
    with pytest.raises(TransferError) as caught:
        source.begin()
    assert source.address == f"{files.url}/scene"
    assert f"{files.url}/scene: the server answered 404." in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert source.host == files.url.removeprefix("http://")
