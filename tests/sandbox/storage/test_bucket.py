import base64
import hashlib
import time

import google_crc32c
import pytest
import requests

from up42_pipelines.sandbox.storage.bucket import Span, requested_span


@pytest.fixture(scope="module")
def stored(sandbox, take_scene):
    """A signed URL and the bytes behind it."""
    order_id = sandbox.place(take_scene().id)
    sandbox.wait_for_end(order_id)
    (item,) = sandbox.wait_for_items(order_id)
    href = next(asset["href"] for asset in item["assets"].values() if "data" in asset["roles"])
    return sandbox.http.post(f"{href}/download-url").json()["url"], sandbox.http.get(href).content


def fetch(url, method="GET", **headers):
    return requests.request(
        method, url, headers={key.replace("_", "-"): value for key, value in headers.items()}, timeout=10
    )


def test_the_url_needs_no_token_and_is_short_lived(stored):
    url, whole = stored
    assert fetch(url).content == whole
    query = dict(part.split("=", 1) for part in url.partition("?")[2].split("&"))
    assert list(query) == ["response-content-disposition", "GoogleAccessId", "Expires", "Signature"]
    assert 290 < int(query["Expires"]) - time.time() <= 300
    assert query["response-content-disposition"].endswith("_ms.tiff")
    assert fetch(url).headers["Content-Disposition"].startswith("attachment; filename=")


def test_the_digests_are_those_of_the_bytes(stored):
    url, whole = stored
    headers = fetch(url, "HEAD").headers
    crc32c = base64.b64encode(google_crc32c.value(whole).to_bytes(4, "big")).decode()
    md5 = base64.b64encode(hashlib.md5(whole).digest()).decode()
    assert headers["x-goog-hash"] == f"crc32c={crc32c},md5={md5}"
    assert headers["Content-Length"] == str(len(whole))
    assert headers["ETag"] == f'"{hashlib.md5(whole).hexdigest()}"'
    assert headers["Accept-Ranges"] == "bytes"
    assert int(headers["x-goog-generation"]) > 0


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=0-99", slice(0, 100)), ("bytes=1000-", slice(1000, None)), ("bytes=-77", slice(-77, None))],
)
def test_ranges(stored, wanted, part):
    url, whole = stored
    answer = fetch(url, Range=wanted)
    assert (answer.status_code, answer.content) == (206, whole[part])
    start, stop, _ = part.indices(len(whole))
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


def test_pieces_make_the_whole(stored):
    url, whole = stored
    step = len(whole) // 7
    pieces = [fetch(url, Range=f"bytes={at}-{at + step - 1}").content for at in range(0, len(whole), step)]
    assert b"".join(pieces) == whole


def test_conditions(stored):
    url, whole = stored
    etag = fetch(url, "HEAD").headers["ETag"]
    assert fetch(url, If_Match=etag).status_code == 200
    assert fetch(url, If_Match='"other"').status_code == 412
    assert fetch(url, Range="bytes=0-9", If_Range=etag).status_code == 206
    changed = fetch(url, Range="bytes=0-9", If_Range='"other"')
    assert (changed.status_code, len(changed.content)) == (200, len(whole))
    beyond = fetch(url, Range=f"bytes={len(whole)}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, Span(0, 10, partial=False)),
        ("bytes=0-0", Span(0, 1, partial=True)),
        ("bytes=9-", Span(9, 1, partial=True)),
        ("bytes=5-99", Span(5, 5, partial=True)),
        ("bytes=-99", Span(0, 10, partial=True)),
        ("bytes=10-", None),
        ("bytes=-0", None),
        ("bytes=5-4", Span(0, 10, partial=False)),
        ("bytes=0-1,3-4", Span(0, 10, partial=False)),
        ("bytes=-", Span(0, 10, partial=False)),
        ("lines=0-1", Span(0, 10, partial=False)),
    ],
)
def test_range_headers(header, span):
    assert requested_span(header, 10) == span


def test_a_url_that_was_changed_or_is_too_old_is_refused_as_gcs_does(stored, sandbox):
    url, _ = stored
    forged = fetch(url.replace("Expires=", "Expires=9"))
    assert (forged.status_code, "<Code>SignatureDoesNotMatch</Code>" in forged.text) == (403, True)
    assert forged.headers["Content-Type"].startswith("application/xml")
    bare = fetch(url.partition("?")[0])
    assert (bare.status_code, "<Code>AccessDenied</Code>" in bare.text) == (403, True)


def test_an_expired_url_is_refused_as_gcs_does(start_sandbox):
    from up42_pipelines.sandbox.core.database import Database
    from up42_pipelines.sandbox.storage import bucket

    first = start_sandbox()
    first.stop()
    database = Database(first.state)
    secret = database.secret
    database.close()
    running = start_sandbox(first.state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket, "URL_SECONDS", -1)
        expired = bucket.signed_url(secret, running.url, "00000000-0000-4000-8000-000000000000", "x.tiff")
    answer = fetch(expired)
    assert (answer.status_code, "<Code>ExpiredToken</Code>" in answer.text) == (400, True)
    fresh = bucket.signed_url(secret, running.url, "00000000-0000-4000-8000-000000000000", "x.tiff")
    assert (fetch(fresh).status_code, "<Code>NoSuchKey</Code>" in fetch(fresh).text) == (404, True)
