"""Download one object from a signed URL, verified; a dropped connection is resumed, never spliced of two versions."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from up42_pipelines.errors import TransferError
from up42_pipelines.lake.transfer.partial import PartialFile, Received

# Pieces below 1 MiB cost CPU for nothing: 1 KiB pieces, the usual default, take 8 times the CPU time.
_PIECE_BYTES = 1 << 20
# An attempt that brought this much is progress: the count of attempts in a row starts again.
_PROGRESS_BYTES = 8 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# A server may ask for an hour; a run that sleeps that long holds its slot for nothing.
_LONGEST_RETRY_AFTER_S = 60.0
_REFUSED_SIGNATURE = frozenset({400, 401, 403})


def download(
    sign: Callable[[], str],
    target: Path,
    *,
    timeout: tuple[float, float] = (10, 60),
    attempts: int = 5,
    on_progress: Callable[[int, int | None], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Received:
    """Fetch the object behind a signed URL into `target`, a temporary name of the caller's choice.

    UP42's URLs live for five minutes, so every attempt signs anew, immediately before its request. A dropped connection
    is resumed with `Range` and `If-Range` on the first strong ETag (RFC 9110, section 13.1.5); an object that changed
    meanwhile, or a server without ranges, starts again from zero. The length is compared with the server's, the content
    with the crc32c of `x-goog-hash`, or its md5 when there is no crc32c.

    Args:
        sign: gives a fresh signed URL; what it raises is passed on.
        target: overwritten; removed when the download fails.
        timeout: seconds to connect, seconds of silence on the connection.
        attempts: tries in a row that bring less than 8 MiB.
        on_progress: called with (bytes so far, bytes in total or None) after every piece.
        sleep: pauses between attempts, in seconds.

    Raises:
        TransferError: the object did not arrive whole.
        LakeError: `target` cannot be written.
    """
    failures, reason, address = 0, "", "the object"
    # Environment proxies and CA bundles count; a .netrc must not add an Authorization header to a signed URL.
    with requests.Session() as session, PartialFile(target, on_progress) as partial:
        session.auth = _no_auth
        while failures < attempts:
            url = sign()
            address = _without_secrets(url)
            before = partial.size
            outcome = _attempt(session, url, partial, timeout)
            if outcome is None:
                return partial.finish()
            reason = outcome.reason
            if outcome.final:
                break
            failures = 1 if partial.size - before >= _PROGRESS_BYTES else failures + 1
            if failures < attempts:
                sleep(_pause_s(failures, outcome.retry_after_s))
    tries = f" after {failures} attempts in a row" if failures > 1 else ""
    raise TransferError(f"{address}: {reason}{tries}. Nothing was published; run again to fetch it anew.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """Why an attempt did not complete the object; made of words that never hold a signed URL."""

    reason: str
    retry_after_s: float | None = None
    final: bool = False


def _attempt(
    session: requests.Session, url: str, partial: PartialFile, timeout: tuple[float, float]
) -> _Failure | None:
    """One request that starts or continues the object; None when it is complete and verified."""
    # Stored bytes are hashed and measured, so nobody on the way may compress them, and nothing here decompresses.
    wanted = {"Accept-Encoding": "identity"}
    if partial.size and partial.etag:
        wanted |= {"Range": f"bytes={partial.size}-", "If-Range": partial.etag}
    # Exceptions of requests and urllib3 carry the whole URL: only their class names leave this function.
    try:
        with session.get(url, headers=wanted, timeout=timeout, stream=True) as answer:
            refusal = _begin(answer, partial)
            if refusal is not None:
                return refusal
            while piece := answer.raw.read(_PIECE_BYTES, decode_content=False):
                partial.append(piece)
                if partial.total is not None and partial.size > partial.total:
                    break
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
        return _Failure(reason="the signed URL is no http(s) URL", final=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        return _Failure(reason=f"the connection failed ({type(error).__name__}) at byte {partial.size}")
    return _verify(partial)


def _begin(answer: requests.Response, partial: PartialFile) -> _Failure | None:
    """Read status and headers: continue, start from zero, or say why neither is possible."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    status = answer.status_code
    if status == 206 and partial.size:
        first, total = _content_range(headers.get("content-range", ""))
        same = headers.get("etag") == partial.etag and total in {None, partial.total}
        if same and first == partial.size:
            return None
        partial.restart({})
        return _Failure(reason="the server continued another object or another place of it")
    if status == 200:
        partial.restart(headers)
        if not partial.verifiable:
            return _Failure(reason="the answer has neither a length nor a checksum to verify it by", final=True)
        return None
    if status in {206, 412, 416}:
        partial.restart({})
        return _Failure(reason=f"the server answered {status}: the object changed or its ranges cannot be trusted")
    if status in _REFUSED_SIGNATURE:
        return _Failure(reason=f"the server answered {status} to a freshly signed URL")
    if status in {408, 429} or status >= 500:
        return _Failure(
            reason=f"the server answered {status}", retry_after_s=_retry_after_s(headers.get("retry-after"))
        )
    return _Failure(reason=f"the server answered {status}", final=True)


def _verify(partial: PartialFile) -> _Failure | None:
    if partial.total is not None and partial.size < partial.total:
        return _Failure(reason=f"the body ended at byte {partial.size} of {partial.total}")
    if partial.total is not None and partial.size > partial.total:
        failure = _Failure(reason=f"the body is longer than the {partial.total} bytes announced")
    elif mismatch := partial.mismatch():
        failure = _Failure(reason=f"{partial.size} bytes arrived changed: {mismatch}")
    else:
        return None
    partial.restart({})
    return failure


def _pause_s(failures: int, retry_after_s: float | None) -> float:
    """Seconds to wait: what the server asks, within reason, else exponential with full jitter.

    Full jitter spreads a crowd of clients best: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    if retry_after_s is not None:
        return min(retry_after_s, _LONGEST_RETRY_AFTER_S)
    return random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1)))  # noqa: S311 - no secret


def _retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number, or a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _content_range(value: str) -> tuple[int | None, int | None]:
    """First byte and total of a Content-Range; None for what it does not say."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", value.strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _without_secrets(url: str) -> str:
    """Scheme, host and path; a signed URL's query, and a user name and password, are secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a malformed URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
