"""A store that keeps no bytes: `python -m benchmarks.sink` prints its URL and speaks Google Cloud Storage's JSON API.

Uploads (multipart, resumable, in one piece), compose, rewrite and the rest answer with the size and the crc32c of what
came, which it computes; bytes are then forgotten, but for small objects. So a client's cost is measured without that of
a disk, and what a client says it uploaded can be checked. A thread per connection.
https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import secrets
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import google_crc32c

# Objects up to this size are kept, so that documents can be read back.
_KEPT_BYTES = 1 << 20
_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/(.+)")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_COPY = re.compile(r"/storage/v1/b/([^/]+)/o/(.+)/(?:rewriteTo|copyTo)/b/([^/]+)/o/(.+)")


@dataclass(slots=True)
class Upload:
    """A resumable one."""

    bucket: str
    name: str
    conditions: dict[str, str]
    size: int = 0
    crc32c: int = 0
    head: bytes = b""


@dataclass
class Store:
    """Everything that is known; one lock around what is changed."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    contents: dict[tuple[str, str], bytes] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    generations: Any = field(default_factory=lambda: itertools.count(1))
    lock: Any = field(default_factory=threading.Lock)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    store = Store()
    _buffer = bytearray()

    def do_GET(self) -> None:
        """An object, its metadata, or a list of them."""
        self._answered(self._get)

    def do_POST(self) -> None:
        """Uploads, compose, rewrite."""
        self._answered(self._post)

    def do_PUT(self) -> None:
        """A piece of a resumable upload."""
        self._answered(self._post)

    def do_PATCH(self) -> None:
        """Metadata are accepted and forgotten."""
        self._answered(self._get)

    def do_DELETE(self) -> None:
        """Remove an object or an upload."""
        self._answered(self._delete)

    def _answered(self, handle: Any) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        try:
            status, headers, content = handle(parts.path, dict(parse_qsl(parts.query)), body)
        except Refused as refused:
            status, headers = refused.status, {}
            content = json.dumps({"error": {"code": refused.status, "message": str(refused)}}).encode()
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json"} | headers | {"Content-Length": str(len(content))}
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> memoryview:
        """The whole body, in the connection's own buffer."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return memoryview(self._chunks())
        length = int(self.headers.get("Content-Length") or 0)
        if len(self._buffer) < length:
            self._buffer = bytearray(length)
        body = memoryview(self._buffer)[:length]
        at = 0
        while at < length:
            taken = self.rfile.readinto(body[at:])
            if not taken:
                raise ConnectionResetError("the body ended early")
            at += taken
        return body

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _get(self, path: str, query: dict[str, str], _: memoryview) -> tuple[int, dict[str, str], bytes]:
        if match := _OBJECT.fullmatch(path):
            key = unquote(match[1]), unquote(match[2])
            resource = self._found(key)
            if query.get("alt") != "media":
                return _json(resource)
            if key not in self.store.contents:
                raise Refused(410, "The bytes of this object were not kept.")
            return 200, {"Content-Type": "application/octet-stream"}, self.store.contents[key]
        if re.fullmatch(r"/storage/v1/b/[^/]+/o", path):
            return _json(self._listing(path.split("/")[4], query))
        return _json({"kind": "storage#bucket", "name": path.rpartition("/")[2]})

    def _listing(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items, folders = [], set()
        with self.store.lock:
            for (home, name), resource in sorted(self.store.objects.items()):
                if home != bucket or not name.startswith(prefix):
                    continue
                head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
                if found:
                    folders.add(f"{prefix}{head}{found}")
                else:
                    items.append(resource)
        return {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)}

    def _post(self, path: str, query: dict[str, str], body: memoryview) -> tuple[int, dict[str, str], bytes]:
        if "upload_id" in query:
            return self._resumed(query["upload_id"], body)
        if path.startswith("/upload/"):
            return self._uploaded(unquote(path.split("/")[5]), query, body)
        if match := _COPY.fullmatch(path):
            source, target = (unquote(match[1]), unquote(match[2])), (unquote(match[3]), unquote(match[4]))
            resource = self._found(source)
            copied = self._stored(
                target, int(resource["size"]), _decoded(resource["crc32c"]), query, self.store.contents.get(source)
            )
            whole = {"kind": "storage#rewriteResponse", "done": True, "resource": copied}
            return _json(copied if "/copyTo/" in path else whole | {"objectSize": resource["size"]})
        if match := re.fullmatch(r"/storage/v1/b/([^/]+)/o/(.+)/compose", path):
            return _json(self._composed(unquote(match[1]), unquote(match[2]), json.loads(bytes(body)), query))
        raise Refused(404, f"Unknown: {path}")

    def _uploaded(self, bucket: str, query: dict[str, str], body: memoryview) -> tuple[int, dict[str, str], bytes]:
        kind = query.get("uploadType")
        if kind == "resumable":
            name = query.get("name") or json.loads(bytes(body))["name"]
            token = secrets.token_hex(8)
            self.store.uploads[token] = Upload(bucket, name, query)
            location = (
                f"http://{self.headers['Host']}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={token}"
            )
            return 200, {"Location": location}, b""
        name, content = (query.get("name", ""), body) if kind == "media" else self._related(body)
        return _json(self._put((bucket, name), content, query))

    def _related(self, body: memoryview) -> tuple[str, memoryview]:
        """Name and content of a multipart/related body (RFC 2387), without copying the content."""
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        if boundary is None:
            raise Refused(400, "multipart without a boundary")
        mark = boundary[1].encode()
        head = re.match(
            rb"--%b(\r?\n).*?\r?\n\r?\n(.*?)\r?\n--%b\r?\n.*?\r?\n\r?\n" % (re.escape(mark), re.escape(mark)),
            body,
            re.DOTALL,
        )
        if head is None:
            raise Refused(400, "not the multipart that was expected")
        # The same end of line as at the beginning: content may end with the first half of the other one.
        tail = re.search(rb"%b--%b--\s*$" % (head[1], re.escape(mark)), body[-len(mark) - 16 :])
        if tail is None:
            raise Refused(400, "not the multipart that was expected")
        end = len(body) - min(len(body), len(mark) + 16) + tail.start()
        return json.loads(head[2])["name"], body[head.end() : end]

    def _resumed(self, token: str, body: memoryview) -> tuple[int, dict[str, str], bytes]:
        upload = self.store.uploads[token]
        span = _CONTENT_RANGE.fullmatch(self.headers.get("Content-Range", f"bytes 0-0/{len(body)}"))
        if span is None:
            raise Refused(400, "no Content-Range")
        if len(body) and int(span[1] or 0) != upload.size:
            raise Refused(503, "This piece is not the next one.")
        upload.crc32c = _extended(upload.crc32c, body)
        upload.size += len(body)
        if upload.size <= _KEPT_BYTES:
            upload.head += bytes(body)
        if span[2] == "*" or upload.size < int(span[2]):
            return HTTPStatus.PERMANENT_REDIRECT, {"Range": f"bytes=0-{upload.size - 1}"} if upload.size else {}, b""
        del self.store.uploads[token]
        kept = upload.head if upload.size <= _KEPT_BYTES else None
        return _json(self._stored((upload.bucket, upload.name), upload.size, upload.crc32c, upload.conditions, kept))

    def _put(self, key: tuple[str, str], content: memoryview, query: dict[str, str]) -> dict[str, Any]:
        kept = bytes(content) if len(content) <= _KEPT_BYTES else None
        return self._stored(key, len(content), _extended(0, content), query, kept)

    def _composed(self, bucket: str, name: str, wanted: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        sources = wanted["sourceObjects"]
        if len(sources) > 32:
            raise Refused(400, "The number of source components provided exceeds the maximum (32)")
        size, crc32c = 0, 0
        for source in sources:
            resource = self._found((bucket, source["name"]))
            if (
                source.get("objectPreconditions", {}).get("ifGenerationMatch", resource["generation"])
                != resource["generation"]
            ):
                raise Refused(412, "A component is another one.")
            crc32c = combined(crc32c, _decoded(resource["crc32c"]), int(resource["size"]))
            size += int(resource["size"])
        return self._stored((bucket, name), size, crc32c, query, None)

    def _delete(self, path: str, query: dict[str, str], _: memoryview) -> tuple[int, dict[str, str], bytes]:
        if "upload_id" in query:
            self.store.uploads.pop(query["upload_id"], None)
            return 499, {}, b""
        match = _OBJECT.fullmatch(path)
        if match is None:
            raise Refused(404, f"Unknown: {path}")
        key = unquote(match[1]), unquote(match[2])
        self._found(key)
        with self.store.lock:
            self.store.objects.pop(key, None)
            self.store.contents.pop(key, None)
        return HTTPStatus.NO_CONTENT, {}, b""

    def _found(self, key: tuple[str, str]) -> dict[str, Any]:
        if (resource := self.store.objects.get(key)) is None:
            raise Refused(404, f"No such object: {'/'.join(key)}")
        return resource

    def _stored(
        self, key: tuple[str, str], size: int, crc32c: int, conditions: dict[str, str], content: bytes | None
    ) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        with self.store.lock:
            present = self.store.objects.get(key)
            if conditions.get("ifGenerationMatch") not in {None, present["generation"] if present else "0"}:
                raise Refused(412, "At least one of the pre-conditions you specified did not hold.")
            generation = str(next(self.store.generations))
            resource = {
                "kind": "storage#object", "id": f"{key[0]}/{key[1]}/{generation}", "bucket": key[0], "name": key[1],
                "size": str(size), "crc32c": base64.b64encode(crc32c.to_bytes(4, "big")).decode(),
                "generation": generation, "metageneration": "1", "etag": generation, "timeCreated": now,
                "updated": now, "storageClass": "STANDARD", "contentType": "application/octet-stream",
            }  # fmt: skip
            self.store.objects[key] = resource
            self.store.contents.pop(key, None)
            if content is not None:
                self.store.contents[key] = content
        return resource

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def combined(first: int, second: int, second_bytes: int) -> int:
    """CRC-32C of two strings in a row from those of each: the first is moved on by as many zero bytes.

    Written here once more, slowly and plainly, because what is measured must not judge itself.
    """
    matrix = [0x82F63B78, *(1 << bit for bit in range(31))]  # one zero bit, on the reflected polynomial
    for _ in range(3):
        matrix = [_times(matrix, column) for column in matrix]
    while second_bytes:
        if second_bytes & 1:
            first = _times(matrix, first)
        matrix = [_times(matrix, column) for column in matrix]
        second_bytes >>= 1
    return first ^ second


def _times(matrix: list[int], vector: int) -> int:
    total = 0
    for column in matrix:
        if vector & 1:
            total ^= column
        vector >>= 1
    return total


def _extended(crc32c: int, content: memoryview) -> int:
    """In pieces that stay in the cache, because google_crc32c takes nothing but bytes."""
    for at in range(0, len(content), 1 << 18):
        crc32c = google_crc32c.extend(crc32c, bytes(content[at : at + (1 << 18)]))
    return crc32c


def _decoded(crc32c: str) -> int:
    return int.from_bytes(base64.b64decode(crc32c), "big")


def _json(document: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(document).encode()


class Server(ThreadingHTTPServer):
    """Takes a crowd of connections at once."""

    request_queue_size = 256
    daemon_threads = True


def main() -> None:
    """Print the URL, then serve."""
    server = Server(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
