"""Every fault of a transfer either heals or raises, and leaves nothing behind when it raises."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import os
import socket
import time
import traceback

import google_crc32c
import pytest

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake import download
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.patience import Patience

CONTENT = bytes(range(256)) * 12_000  # 3 MB: more than one piece


@pytest.fixture
def fetch(files, tmp_path):
    """Download an object of the server; pauses are recorded, not slept."""
    pauses: list[float] = []

    def run(href, **options):
        return download(lambda: files.sign(href), tmp_path / "target.part", sleep=pauses.append, **options)

    run.pauses = pauses
    run.folder = tmp_path
    return run


def test_verified_and_described(files, fetch):
    href = files.put(
        "scene",
        CONTENT,
        content_type="image/tiff; x=y",
        extra={"Content-Disposition": 'attachment; filename="../../etc/pass wd.tif"'},
    )
    progress: list[tuple[int, int | None]] = []
    received = fetch(href, on_progress=lambda *seen: progress.append(seen))
    assert received.path.read_bytes() == CONTENT
    assert received.size == len(CONTENT)
    assert received.sha256() == hashlib.sha256(CONTENT).hexdigest()
    assert int.from_bytes(base64.b64decode(received.crc32c), "big") == google_crc32c.value(CONTENT)
    assert received.verified_by == "crc32c"
    assert received.content_type == "image/tiff"
    assert received.filename.startswith("pass_wd-")
    assert received.filename.endswith(".tif")
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert [seen for seen, _ in progress] == sorted(seen for seen, _ in progress)
    ((_, headers),) = files.requests
    assert headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & headers.keys()
    assert [path.name for path in fetch.folder.iterdir()] == ["target.part"], "neither journal nor partial file is left"


def test_resumes_where_the_connection_dropped(files, fault, fetch):
    href = files.put("scene", CONTENT, fault(drop_after=2_000_000), fault(drop_after=500_000))
    assert fetch(href).path.read_bytes() == CONTENT
    ranges = [(headers.get("range"), headers.get("if-match")) for _, headers in files.requests]
    assert ranges[0] == ("bytes=0-8388607", None), "the first answer is the plan and the first part"
    assert ranges[1] == ("bytes=2000000-3071999", '"v1"')
    assert ranges[2] == ("bytes=2500000-3071999", '"v1"')
    assert files.signed == 1, "a URL that is fresh serves all requests"


def test_a_changed_object_is_never_spliced(files, fault, fetch):
    other = CONTENT[::-1]

    def replace(stored):
        stored.content, stored.etag = other, '"v2"'

    href = files.put("scene", CONTENT, fault(drop_after=2_000_000), fault(before=replace))
    assert fetch(href).path.read_bytes() == other


def test_a_server_that_ignores_if_match_is_not_believed(files, fault, fetch):
    """It answers 206 with another ETag; without a checksum nothing else would show the splice."""
    other = CONTENT[::-1]

    def replace(stored):
        stored.content = other

    lie = fault(before=replace, headers={"ETag": '"v2"'})
    href = files.put("scene", CONTENT, fault(drop_after=2_000_000), lie, hashes=None)
    # The server compares If-Match with what it stored, and only the answer carries the new ETag.
    files.objects["/scene"].headers = lambda: {"ETag": '"v1"'}
    assert fetch(href).path.read_bytes() == other


def test_a_netrc_adds_no_password(files, fetch, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fetch(files.put("scene", CONTENT))
    assert "authorization" not in files.requests[0][1]


@pytest.mark.parametrize(
    "content_range", ["bytes 7-9/3072000", "bytes 2000001-3071999/3072000", "nonsense", "bytes */3072000"]
)
def test_a_range_that_is_not_the_wanted_one_is_asked_for_again(files, fault, fetch, content_range):
    href = files.put("scene", CONTENT, fault(drop_after=2_000_000), fault(headers={"Content-Range": content_range}))
    assert fetch(href).path.read_bytes() == CONTENT
    assert files.requests[2][1]["range"] == "bytes=2000000-3071999"


@pytest.mark.parametrize("other", [{"Content-Range": "bytes 2000000-3071999/4"}, {"x-goog-generation": "2"}])
def test_another_total_or_generation_is_another_object(files, fault, fetch, other):
    href = files.put(
        "scene", CONTENT, fault(drop_after=2_000_000), fault(headers=other), extra={"x-goog-generation": "1"}
    )
    assert fetch(href).path.read_bytes() == CONTENT
    assert files.requests[2][1]["range"] == "bytes=0-8388607", "it starts from zero"


@pytest.mark.parametrize("options", [{"ranges": False}, {"etag": None}, {"etag": 'W/"v1"'}])
def test_without_ranges_or_a_strong_etag_it_starts_again(files, fault, fetch, options):
    """Ranges of what may be different objects are never put together."""
    href = files.put("scene", CONTENT, fault(drop_after=2_000_000), **options)
    assert fetch(href).path.read_bytes() == CONTENT
    assert [headers["range"] for _, headers in files.requests] == ["bytes=0-8388607"] * 2


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_more_than_one_part_without_a_strong_etag_comes_in_one_stream(files, fetch, etag):
    href = files.put("scene", CONTENT, etag=etag)
    assert fetch(href, part_bytes=1_000_000).path.read_bytes() == CONTENT
    assert [headers.get("range") for _, headers in files.requests] == ["bytes=0-999999", None]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_expired_url_is_signed_again(files, fault, fetch, status):
    href = files.put("scene", CONTENT, fault(drop_after=1_000_000), fault(status=status))
    assert fetch(href).path.read_bytes() == CONTENT
    assert [path.partition("Signature=")[2] for path, _ in files.requests] == ["SECRET1", "SECRET1", "SECRET2"]
    assert files.requests[2][1]["range"] == "bytes=1000000-3071999", "what had arrived is kept"


@pytest.mark.parametrize("status", [412, 416])
def test_a_refused_range_starts_again(files, fault, fetch, status):
    href = files.put("scene", CONTENT, fault(drop_after=1_000_000), fault(status=status))
    assert fetch(href).path.read_bytes() == CONTENT
    assert files.requests[2][1]["range"] == "bytes=0-8388607"


@pytest.mark.parametrize("status", [412, 416])
def test_a_server_that_refuses_every_range_gives_the_whole(files, fault, fetch, status):
    href = files.put("scene", CONTENT, fault(status=status))
    assert fetch(href).path.read_bytes() == CONTENT
    assert "range" not in files.requests[1][1]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_retry_after_is_obeyed_within_reason(files, fault, fetch, status):
    href = files.put(
        "scene", CONTENT, fault(status=status, headers={"Retry-After": "7"}),
        fault(status=status, headers={"Retry-After": "86400"}), fault(status=status),
    )  # fmt: skip
    assert fetch(href).path.read_bytes() == CONTENT
    assert fetch.pauses[:2] == [7.0, 60.0]
    assert 0 <= fetch.pauses[2] <= 30


def test_a_flipped_bit_is_fetched_again(files, fault, fetch):
    href = files.put("scene", CONTENT, fault(flip=True))
    assert fetch(href).path.read_bytes() == CONTENT
    assert len(files.requests) == 2


def test_md5_when_there_is_no_crc32c(files, fault, fetch):
    href = files.put("scene", CONTENT, fault(flip=True), hashes="md5")
    received = fetch(href)
    assert received.path.read_bytes() == CONTENT
    assert received.verified_by == "md5"
    assert len(files.requests) == 2


@pytest.mark.parametrize("length", [10, len(CONTENT) - 1, len(CONTENT) + 10])
def test_a_length_that_contradicts_the_range_is_not_believed(files, fault, fetch, length):
    href = files.put("scene", CONTENT, fault(length=length), hashes=None)
    assert fetch(href).path.read_bytes() == CONTENT
    assert len(files.requests) == 2


def test_a_body_shorter_than_its_length_is_refused(files, fault, fetch):
    href = files.put("scene", CONTENT, fault(length=len(CONTENT) + 10), hashes=None, ranges=False)
    with pytest.raises(TransferError, match="byte 3072000"):
        fetch(href, patience=Patience(attempts=1))


def test_the_length_is_all_there_is(files, fetch):
    assert fetch(files.put("scene", CONTENT, hashes=None)).verified_by == "length"


def test_chunked_answers_end_by_their_framing(files, fault, fetch):
    href = files.put("scene", CONTENT, fault(chunked=True), hashes=None, ranges=False)
    assert fetch(href).path.read_bytes() == CONTENT


def test_an_answer_that_cannot_be_verified_is_refused(files, fault, fetch):
    href = files.put("scene", CONTENT, *[fault(no_length=True)] * 5, hashes=None, ranges=False)
    with pytest.raises(TransferError, match="neither a length nor a checksum"):
        fetch(href)
    href = files.put("scene", CONTENT, fault(no_length=True), ranges=False)
    assert fetch(href).size == len(CONTENT), "the checksum is enough"


def test_content_encoding_is_not_decoded(files, fetch):
    packed = gzip.compress(CONTENT)
    href = files.put("scene", packed, extra={"Content-Encoding": "gzip", "x-goog-stored-content-encoding": "gzip"})
    assert fetch(href).path.read_bytes() == packed


def test_checksums_of_stored_bytes_do_not_apply_to_decompressed_ones(files, fetch):
    """GCS decompresses on the way for clients that do not accept gzip; x-goog-hash is that of the stored bytes."""
    href = files.put("scene", CONTENT, hashes="crc32c=AAAAAA==", extra={"x-goog-stored-content-encoding": "gzip"})
    assert fetch(href).path.read_bytes() == CONTENT


def test_an_empty_object_arrives(files, fetch):
    assert fetch(files.put("scene", b"")).size == 0


@pytest.mark.parametrize(
    "faults",
    [
        [{"flip": True}] * 5,
        [{"drop_after": 10}] * 5,
        [{"status": 503}] * 5,
        [{"status": 429, "headers": {"Retry-After": "1"}}] * 5,
        [{"status": 403}] * 5,
        [{"status": 404}],
        [{"status": 410}],
        [{"length": 100}] * 5,
        [{"length": 10, "headers": {"Content-Range": "bytes 7-9/10"}}] * 5,
    ],
    ids=lambda faults: f"{len(faults)}x{faults[0]}",
)
def test_what_does_not_heal_raises_and_leaves_nothing(files, fault, fetch, faults):
    href = files.put("scene", CONTENT, *(fault(**one) for one in faults), etag=None)
    with pytest.raises(TransferError, match="Nothing was published") as caught:
        fetch(href)
    assert list(fetch.folder.iterdir()) == []
    assert len(files.requests) == len(faults)
    told = "".join(traceback.format_exception(caught.value))
    assert f"{files.url}/scene" in told
    assert "SECRET" not in told
    assert "Signature" not in told


def test_nobody_listens(fetch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(TransferError, match="ConnectionRefusedError") as caught:
        fetch(f"http://user:{'TERCES'[::-1]}@127.0.0.1:{port}/scene")
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/etc/hostname", "", "http://["])
def test_only_http_urls_are_fetched(tmp_path, url):
    with pytest.raises(TransferError):
        download(lambda: url, tmp_path / "target.part", sleep=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_silent_server_times_out(files, fetch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        started = time.monotonic()
        with pytest.raises(TransferError, match="TimeoutError"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/scene", patience=Patience(silence_s=0.2, attempts=1))
        assert time.monotonic() - started < 20


def test_what_sign_raises_is_passed_on(tmp_path):
    def sign():
        raise PermissionError("no such account")

    with pytest.raises(PermissionError):
        download(sign, tmp_path / "target.part")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_is_freed(files, fetch, monkeypatch):
    """Where the file system could not reserve the space."""
    real = os.pwrite

    def pwrite(file, piece, at):
        if at >= 2_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, piece, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(LakeError, match="Free disk space"):
        fetch(files.put("scene", CONTENT), part_bytes=1_000_000, limits=Limits(connections=1))
    assert list(fetch.folder.iterdir()) == []


def test_short_writes_are_continued(files, fetch, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, piece, at: real(file, piece[:50_000], at))
    assert fetch(files.put("scene", CONTENT)).path.read_bytes() == CONTENT


def test_a_folder_in_the_way_is_a_lake_error(files, tmp_path):
    (tmp_path / "target.part").mkdir()
    with pytest.raises(LakeError, match="folder is where the lake needs a file"):
        download(lambda: files.sign(files.put("scene", CONTENT)), tmp_path / "target.part")
