"""Versions of a document that many change at once: none is lost, none is doubled, whoever sleeps or dies meanwhile."""

from __future__ import annotations

import json
import os
import re
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Journal, Lake, Version

RACERS = 8


@pytest.fixture(params=["local", "memory"])
def lake(request, tmp_path):
    return Lake({"local": str(tmp_path / "lake"), "memory": f"memory://{uuid.uuid4()}"}[request.param])


def fill(journal, count):
    """Append so many versions."""
    for _ in range(count):
        latest = journal.latest()
        number = latest.number if latest else 0
        assert journal.append(number, {"is": number + 1})


def test_a_document_changes(lake):
    journal = Journal(lake, "purchases", "one")
    assert journal.latest() is None
    assert journal.append(0, {"state": "claimed", "name": "Köln"})
    assert journal.latest() == Version(1, {"state": "claimed", "name": "Köln"})
    assert not journal.append(0, {"state": "claimed by another"})
    assert journal.append(1, {"state": "placed"})
    assert Journal(lake, "purchases", "one").latest() == Version(2, {"state": "placed"})
    assert Journal(lake, "purchases", "two").latest() is None
    assert lake.list("purchases", "one") == ["000001.json", "000002.json"]


def test_a_version_says_who_wrote_it_and_when(lake):
    for folder in ("one", "two"):
        assert Journal(lake, folder).append(0, {"state": "claimed"})
    one, two = lake.read_json("one", "000001.json"), lake.read_json("two", "000001.json")
    assert list(one) == ["version", "written_at", "written_by", "state"]
    assert one["version"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["written_at"])
    assert abs(datetime.fromisoformat(one["written_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert one["written_by"].startswith(f"{socket.gethostname()}:{os.getpid()}:")
    assert one["written_by"] != two["written_by"]


def test_what_cannot_be_a_document_is_refused(lake):
    journal = Journal(lake, "journal")
    with pytest.raises(ValueError, match="version, written_by"):
        journal.append(0, {"written_by": "me", "version": 7})
    with pytest.raises(ValueError, match="JSON"):
        journal.append(0, {"price": float("nan")})
    assert journal.latest() is None
    with pytest.raises(ValueError, match="keep is 0"):
        Journal(lake, "journal", keep=0)


def test_numbers_sort_as_numbers_and_other_files_are_let_be(lake):
    lake.write_json({"is": 999_999}, "journal", "999999.json")
    for name in ("README.json", "0000002000000.json", "99.json", "1000001.json.bak"):
        lake.write_bytes(b"no version", "journal", name)
    journal = Journal(lake, "journal", keep=2)
    assert journal.append(999_999, {"is": 1_000_000})
    assert journal.latest() == Version(1_000_000, {"is": 1_000_000})
    assert journal.append(1_000_000, {"is": 1_000_001})
    assert lake.list("journal") == [
        "0000002000000.json", "1000000.json", "1000001.json", "1000001.json.bak", "99.json", "README.json"
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"[1]", b"[" * 100_000, b"\xff"])
def test_a_damaged_version_is_named_and_kept(lake, content):
    lake.write_bytes(content, "journal", "000007.json")
    journal = Journal(lake, "journal")
    for act in (journal.latest, lambda: journal.append(6, {})):
        with pytest.raises(LakeError, match=r"journal/000007\.json is no JSON.* do not remove it"):
            act()
    assert lake.read_bytes("journal", "000007.json") == content


def test_a_version_that_cannot_be_read_does_not_hang(tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "000003.json").symlink_to("nowhere")
    with pytest.raises(LakeError, match=r"cannot read .*000003\.json"):
        Journal(Lake(str(tmp_path)), "journal").latest()


# --- many at once -----------------------------------------------------------------------------------------------------


def check_counts(lake, keep, increments):
    """Every increment is in the newest version, and each version that is kept adds one to the one before."""
    versions = [lake.read_json("counts", name) for name in lake.list("counts")]
    assert versions[-1]["counts"] == [increments] * RACERS
    total = increments * RACERS
    numbers = list(range(1, total + 1))[-(keep or total) :]
    assert [version["version"] for version in versions][-len(numbers) :] == numbers
    assert [sum(version["counts"]) for version in versions][-len(numbers) :] == numbers


@pytest.mark.parametrize("keep", [None, 10])
def test_processes_that_count(race, tmp_path, keep):
    lake = Lake(str(tmp_path))
    misjudged = race("count", lake, increments=25, keep=keep)
    if keep is None:
        assert misjudged == [0] * RACERS
    check_counts(lake, keep, 25)


def test_processes_that_count_in_an_object_store(race, object_store):
    url = f"{object_store.url}/{uuid.uuid4()}"
    lake = Lake(url, object_store.storage_options)
    race("count", lake, object_store.storage_options, increments=1, keep=3)
    check_counts(lake, 3, 1)


@pytest.mark.parametrize("keep", [None, 10])
def test_threads_that_count_in_memory(keep):
    lake = Lake(f"memory://{uuid.uuid4()}")

    def count(racer):
        journal = Journal(lake, "counts", keep=keep)
        for wanted in range(1, 26):
            counted = False
            while not counted:
                latest = journal.latest() or Version(0, {"counts": [0] * RACERS})
                counts = list(latest.document["counts"])
                counted = counts[racer] == wanted
                if not counted:
                    counts[racer] = wanted
                    counted = journal.append(latest.number, {"counts": counts})

    with ThreadPoolExecutor(RACERS) as threads:
        list(threads.map(count, range(RACERS)))
    check_counts(lake, keep, 25)


# --- sleepers ---------------------------------------------------------------------------------------------------------


def test_old_versions_are_removed(lake):
    fill(Journal(lake, "journal", keep=3), 5)
    assert lake.list("journal") == ["000003.json", "000004.json", "000005.json"]


@pytest.mark.parametrize("read", range(6))
def test_a_writer_that_slept_is_told(lake, read):
    """Three versions are left of six: a writer that has read the first or the second can fill a hole, and no other."""
    journal = Journal(lake, "journal", keep=3)
    fill(journal, 6)
    assert not journal.append(read, {"is": "late"})
    assert journal.latest() == Version(6, {"is": 6})
    filled = lake.list("journal")[:-3]
    assert filled == ([f"{read + 1:06d}.json"] if read < 3 else [])
    assert journal.append(6, {"is": 7})
    assert lake.list("journal") == ["000005.json", "000006.json", "000007.json"]


class OvertakenLake(Lake):
    """While this writer has created its version and not looked around yet, others append `others` versions."""

    others = 0

    def create_json(self, document, *parts):
        created = super().create_json(document, *parts)
        fill(Journal(Lake(self.url), "journal", keep=3), self.others)
        return created


@pytest.mark.parametrize(("others", "counted"), [(0, True), (1, True), (2, True), (3, False), (7, False)])
def test_a_writer_that_is_overtaken_after_its_write(lake, others, counted):
    """As long as its number cannot have been removed its append counts; after that it is in doubt, and told False."""
    fill(Journal(lake, "journal", keep=3), 4)
    slow = OvertakenLake(lake.url)
    slow.others = others
    assert Journal(slow, "journal", keep=3).append(4, {"is": 5}) is counted
    assert Journal(lake, "journal").latest() == Version(5 + others, {"is": 5 + others})
    assert lake.list("journal")[-3:] == [f"{number:06d}.json" for number in range(3 + others, 6 + others)]


def test_a_version_that_goes_while_it_is_read(lake):
    fill(Journal(lake, "journal", keep=2), 3)

    class SlowLake(Lake):
        overtaken = False

        def read_bytes(self, *parts):
            if not self.overtaken:
                self.overtaken = True
                fill(Journal(lake, "journal", keep=2), 2)
            return super().read_bytes(*parts)

    assert Journal(SlowLake(lake.url), "journal").latest() == Version(5, {"is": 5})


# --- lost answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
def test_an_append_whose_answer_was_lost_counts(object_store):
    """gcsfs asks again after the 503, and is told that the object exists."""
    endpoint = object_store.storage_options["endpoint_url"]
    lake = Lake(f"{object_store.url}/{uuid.uuid4()}", object_store.storage_options)
    journal = Journal(lake, "journal")
    requests.put(f"{endpoint}/switches", json={"lose_answers": 1}, timeout=10).raise_for_status()
    assert journal.append(0, {"state": "claimed"})
    assert requests.get(f"{endpoint}/switches", timeout=10).json()["lose_answers"] == 0
    assert not journal.append(0, {"state": "claimed by another"})
    assert journal.latest() == Version(1, {"state": "claimed"})
    assert json.loads(lake.read_bytes("journal", "000001.json"))["version"] == 1
