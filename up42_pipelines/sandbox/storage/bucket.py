"""The bucket behind the download URLs: signed, short-lived, with ranges, as Google Cloud Storage serves them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.core.problems import bucket_error
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.storage import delivered_files, deliveries
from up42_pipelines.sandbox.storage.delivered_files import File

BUCKET = "user-storage-sandbox"
SIGNER = "sandbox@user-storage.iam.gserviceaccount.com"
URL_SECONDS = 300
_PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def signed_url(secret: bytes, origin: str, file_id: str, file_name: str) -> str:
    """Make a URL that lets anybody download a file for five real minutes."""
    expires = str(int(time.time()) + URL_SECONDS)
    disposition = f"attachment; filename={file_name}"
    path = f"/storage/{BUCKET}/assets/{file_id}"
    signature = _signature(secret, path, disposition, expires)
    return (
        f"{origin}{path}?response-content-disposition={quote(disposition, safe='')}"
        f"&GoogleAccessId={quote(SIGNER, safe='')}&Expires={expires}&Signature={quote(signature, safe='')}"
    )


def fetch(call: Call) -> Response:
    """GET and HEAD of an object."""
    secret, disposition = call.world.database.secret, call.query("response-content-disposition") or ""
    expires, given = call.query("Expires") or "", call.query("Signature") or ""
    if not given:
        return bucket_error(
            403, "AccessDenied", "Access denied.", "Anonymous caller does not have storage.objects.get access."
        )
    if not hmac.compare_digest(_signature(secret, call.path, disposition, expires).encode(), given.encode()):
        details = "Access denied. The signature does not match the one that follows from the secret."
        return bucket_error(403, "SignatureDoesNotMatch", "Access denied.", details)
    if time.time() >= int(expires):
        details = f"Request signature expired at: {time.strftime('%Y-%m-%dT%H:%M:%S+00:00', time.gmtime(int(expires)))}"
        return bucket_error(400, "ExpiredToken", "Invalid argument.", details)
    file = find_file(call, call.name("file_id"))
    if file is None:
        return bucket_error(404, "NoSuchKey", "The specified key does not exist.", f"No such object: {call.path}")
    return serve(call, file, disposition)


def find_file(call: Call, file_id: str) -> File | None:
    """Find a file that can be downloaded now, and make it if need be."""
    delivery = deliveries.delivery_of_file(call.world, file_id)
    if delivery is None:
        return None
    rows = deliveries.file_rows(call.world, delivery.asset_id)
    kind = next((kind for kind, row in rows.items() if row["id"] == file_id), None)
    return None if kind is None else delivered_files.make_file(call.world, delivery, kind)


def serve(call: Call, file: File, disposition: str) -> Response:
    """Send a file or a part of it."""
    request = call.request.headers
    etag = f'"{base64.b64decode(file.md5).hex()}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Type": file.media_type,
        "Content-Disposition": disposition,
        "x-goog-hash": f"crc32c={file.crc32c},md5={file.md5}",
        "x-goog-generation": str(int.from_bytes(base64.b64decode(file.md5)[:6], "big")),
        "x-goog-stored-content-length": str(file.size),
        "Cache-Control": "private, max-age=0",
    }
    if _misses(request.get("if-match"), etag):
        return bucket_error(
            412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.", "If-Match"
        )
    wanted = request.get("range")
    if wanted is not None and request.get("if-range") not in (None, etag):
        wanted = None
    span = requested_span(wanted, file.size)
    if span is None:
        answer = bucket_error(416, "InvalidRange", "The requested range cannot be satisfied.", str(wanted))
        answer.headers["Content-Range"] = f"bytes */{file.size}"
        return answer
    headers["Content-Length"] = str(span.length)
    if span.partial:
        headers["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{file.size}"
    status = 206 if span.partial else 200
    if call.request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_pieces(file.path, span), status_code=status, headers=headers)


@dataclass(frozen=True)
class Span:
    """Which bytes to send; `partial` when the client asked for a range."""

    start: int
    length: int
    partial: bool


def requested_span(header: str | None, size: int) -> Span | None:
    """Read a Range header against a size in bytes; None when it cannot be satisfied.

    Several ranges at once, other units and malformed values are ignored (RFC 9110, 14.2).
    """
    match = None if header is None else _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return Span(0, size, partial=False)
    first, last = match[1], match[2]
    if first == "":
        length = min(int(last), size)
        return Span(size - length, length, partial=True) if length else None
    if last and int(last) < int(first):
        return Span(0, size, partial=False)
    if int(first) >= size:
        return None
    end = min(int(last), size - 1) if last else size - 1
    return Span(int(first), end - int(first) + 1, partial=True)


def _misses(condition: str | None, etag: str) -> bool:
    if condition is None or condition.strip() == "*":
        return False
    return etag not in [tag.strip() for tag in condition.split(",")]


def _pieces(path: Path, span: Span) -> Iterator[bytes]:
    left = span.length
    with path.open("rb") as file:
        file.seek(span.start)
        while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
            left -= len(piece)
            yield piece


def _signature(secret: bytes, path: str, disposition: str, expires: str) -> str:
    message = "\n".join((path, disposition, expires)).encode()
    return base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


ROUTES: list[BaseRoute] = [
    route(
        f"/storage/{BUCKET}/assets/{{file_id}}",
        fetch,
        ["GET", "HEAD"],
        public=True,
        query=("response-content-disposition", "GoogleAccessId", "Expires", "Signature"),
    ),
]
