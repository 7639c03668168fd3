"""Google Cloud Storage's JSON API as far as gcsfs uses it: prints its URL and serves until it is killed.

The emulators that can be installed ignore preconditions, and those are what buying once rests on. Handlers are
coroutines that do not wait between looking and writing, so each request is carried out whole.
https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import secrets
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import google_crc32c
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass
class Stored:
    content: bytes
    resource: dict[str, Any]


@dataclass
class Upload:
    """A resumable upload: the conditions it began with hold until it ends."""

    bucket: str
    name: str
    content_type: str
    conditions: dict[str, str]
    content: bytearray = field(default_factory=bytearray)


buckets: dict[str, dict[str, Stored]] = {}
uploads: dict[str, Upload] = {}
# What a test sets at `/switches`. So many inserts are carried out and then answered with 503: `lose_answers`. Of so
# many, one bit is changed on the way: `damage`; `damage_composed` does that to composed objects. `refuse` is a pattern:
# requests whose method and path it matches get 403.
switches: dict[str, Any] = {
    "honour_preconditions": True,
    "lose_answers": 0,
    "damage": 0,
    "damage_composed": 0,
    "refuse": "",
}
# Requests so far, by method and path.
requests: Counter[str] = Counter()
generations = itertools.count(1)


async def switch(request: Request) -> Response:
    if request.method == "PUT":
        switches.update(await request.json())
    return JSONResponse(switches)


async def count(_: Request) -> Response:
    return JSONResponse(requests)


async def create_bucket(request: Request) -> Response:
    name = (await request.json())["name"]
    if name in buckets:
        raise HTTPException(409, "You already own this bucket.")
    buckets[name] = {}
    return JSONResponse({"kind": "storage#bucket", "id": name, "name": name})


async def get_bucket(request: Request) -> Response:
    _bucket(request)
    name = request.path_params["bucket"]
    return JSONResponse({"kind": "storage#bucket", "id": name, "name": name})


async def list_objects(request: Request) -> Response:
    """Objects and, with a delimiter, the folders among them, in the order of their names."""
    query = request.query_params
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    entries: dict[str, dict[str, Any] | None] = {}
    for name, stored in sorted(_bucket(request).items()):
        if name.startswith(prefix):
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            entries[f"{prefix}{head}{found}" if found else name] = None if found else stored.resource
    rest = [name for name in entries if name > query.get("pageToken", "")]
    page = rest[: int(query.get("maxResults", "1000"))]
    answer: dict[str, Any] = {"kind": "storage#objects"}
    answer["items"] = [resource for name in page if (resource := entries[name]) is not None]
    answer["prefixes"] = [name for name in page if entries[name] is None]
    return JSONResponse(answer | ({"nextPageToken": page[-1]} if len(page) < len(rest) else {}))


async def get_object(request: Request) -> Response:
    stored = _object(request)
    if request.query_params.get("alt") != "media":
        return JSONResponse(stored.resource)
    size, resource = len(stored.content), stored.resource
    headers = {"x-goog-hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}", "ETag": resource["etag"]}
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or not any(wanted.groups()):
        return Response(stored.content, headers=headers, media_type=resource["contentType"])
    first, last = wanted.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        raise HTTPException(416, "Requested range not satisfiable", {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Response(stored.content[start : end + 1], 206, headers, resource["contentType"])


async def delete_object(request: Request) -> Response:
    _check(request.query_params, _object(request))
    del _bucket(request)[request.path_params["name"]]
    return Response(status_code=204)


async def insert(request: Request) -> Response:
    """`uploadType` multipart: metadata and content in one body. Resumable: metadata here, content at `resume`."""
    query, bucket, body = request.query_params, request.path_params["bucket"], await request.body()
    _bucket(request)
    if query["uploadType"] == "multipart":
        metadata, content_type, content = _parts(request, body)
        if switches["damage"]:
            switches["damage"] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        announced = metadata.get("crc32c")
        if announced not in {None, _crc32c(content)}:
            message = f'Provided CRC32C "{announced}" doesn\'t match calculated CRC32C "{_crc32c(content)}".'
            raise HTTPException(400, message)
        return _stored(bucket, metadata["name"], content_type, content, query)
    content_type = request.headers.get("x-upload-content-type", "application/octet-stream")
    name = query.get("name") or json.loads(body)["name"]
    _check(query, buckets[bucket].get(name))
    upload_id = secrets.token_hex(8)
    uploads[upload_id] = Upload(bucket, name, content_type, dict(query))
    location = request.url.replace(query=f"uploadType=resumable&upload_id={upload_id}")
    return Response(headers={"Location": str(location)})


async def resume(request: Request) -> Response:
    upload_id, body = request.query_params["upload_id"], await request.body()
    upload = uploads[upload_id]
    start, total = map(int, _CONTENT_RANGE.fullmatch(request.headers["content-range"]).groups())
    upload.content[start:] = body
    if len(upload.content) < total:
        return Response(status_code=308, headers={"Range": f"bytes=0-{len(upload.content) - 1}"})
    del uploads[upload_id]
    return _stored(upload.bucket, upload.name, upload.content_type, bytes(upload.content), upload.conditions)


async def upload_objects(request: Request) -> Response:
    if "upload_id" not in request.query_params:
        return await insert(request)
    if request.method == "DELETE":
        uploads.pop(request.query_params["upload_id"], None)
        return Response(status_code=499)
    return await resume(request)


async def compose(request: Request) -> Response:
    """One object of up to 32 others, in their order (Objects: compose)."""
    wanted, bucket = await request.json(), request.path_params["bucket"]
    sources = wanted["sourceObjects"]
    if not 0 < len(sources) <= 32:
        raise HTTPException(400, "The number of source components provided must be between 1 and 32.")
    contents = [_component(bucket, source["name"], source.get("generation")).content for source in sources]
    content_type = wanted.get("destination", {}).get("contentType", "application/octet-stream")
    content = b"".join(contents)
    if switches["damage_composed"]:
        switches["damage_composed"] -= 1
        content = content[:-1] + bytes([content[-1] ^ 1])
    return _stored(bucket, request.path_params["name"], content_type, content, request.query_params)


async def rewrite(request: Request) -> Response:
    """A copy that takes two calls, as that of a large object between places does (Objects: rewrite)."""
    names, query = request.path_params, request.query_params
    source = _component(names["bucket"], names["name"], query.get("sourceGeneration"))
    answer: dict[str, Any] = {"kind": "storage#rewriteResponse", "objectSize": str(len(source.content))}
    if "rewriteToken" not in query:
        return JSONResponse(answer | {"done": False, "rewriteToken": source.resource["generation"]})
    stored = _stored(names["to"], names["target"], source.resource["contentType"], source.content, query)
    return JSONResponse(answer | {"done": True, "resource": json.loads(stored.body)})


def _component(bucket: str, name: str, generation: str | None) -> Stored:
    """An object, if it still is of the generation asked for."""
    stored = buckets.get(bucket, {}).get(name)
    if stored is None or generation not in {None, stored.resource["generation"]}:
        raise HTTPException(404, f"No such object: {bucket}/{name}")
    return stored


def _stored(bucket: str, name: str, content_type: str, content: bytes, conditions: Any) -> Response:
    _check(conditions, buckets[bucket].get(name))
    generation, now = str(next(generations)), datetime.now(UTC).isoformat().replace("+00:00", "Z")
    resource = {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{generation}",
        "bucket": bucket,
        "name": name,
        "size": str(len(content)),
        "contentType": content_type,
        "generation": generation,
        "metageneration": "1",
        "etag": base64.b64encode(generation.encode()).decode(),
        "crc32c": _crc32c(content),
        "md5Hash": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
        "timeCreated": now,
        "updated": now,
        "storageClass": "STANDARD",
    }
    buckets[bucket][name] = Stored(content, resource)
    if switches["lose_answers"]:
        switches["lose_answers"] -= 1
        raise HTTPException(503, "The answer to what was carried out is lost.")
    return JSONResponse(resource)


def _crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def _check(conditions: Any, stored: Stored | None) -> None:
    """Refuse unless the preconditions hold; generation 0 stands for an object that is not there."""
    generation = stored.resource["generation"] if stored else "0"
    wanted, unwanted = conditions.get("ifGenerationMatch"), conditions.get("ifGenerationNotMatch")
    if switches["honour_preconditions"] and (wanted not in {None, generation} or unwanted == generation):
        raise HTTPException(412, "At least one of the pre-conditions you specified did not hold.")


def _parts(request: Request, body: bytes) -> tuple[dict[str, Any], str, bytes]:
    """Metadata, media type and content of a multipart/related body (RFC 2387); gcsfs ends its lines with LF alone."""
    mark = b"--" + re.search(r'boundary="?([^";]+)', request.headers["content-type"])[1].encode()
    end = b"\r\n" if body.startswith(mark + b"\r\n") else b"\n"
    described, _, rest = body.removeprefix(mark + end).partition(end + mark + end)
    head, _, content = rest.rpartition(end + mark + b"--")[0].partition(end + end)
    metadata = json.loads(described.partition(end + end)[2])
    return metadata, re.search(r"(?i)content-type:\s*(\S+)", head.decode())[1], content


def _bucket(request: Request) -> dict[str, Stored]:
    name = request.path_params["bucket"]
    if name not in buckets:
        raise HTTPException(404, "The specified bucket does not exist.")
    return buckets[name]


def _object(request: Request) -> Stored:
    name = request.path_params["name"]
    if (stored := _bucket(request).get(name)) is None:
        raise HTTPException(404, f"No such object: {request.path_params['bucket']}/{name}")
    return stored


async def problem(_: Request, error: HTTPException) -> Response:
    body = {"error": {"code": error.status_code, "message": error.detail}}
    return JSONResponse(body, error.status_code, error.headers)


class Counted:
    """Counts requests, and refuses those that a test wants refused."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        line = f"{scope['method']} {scope['path']}"
        requests[line] += 1
        answer = self._app
        if switches["refuse"] and re.search(switches["refuse"], line):
            answer = JSONResponse({"error": {"code": 403, "message": "Refused by a test."}}, 403)
        await answer(scope, receive, send)


_OBJECT = "/storage/v1/b/{bucket}/o/{name:path}"
app = Starlette(
    routes=[
        Route("/switches", switch, methods=["GET", "PUT"]),
        Route("/requests", count),
        Route("/storage/v1/b", create_bucket, methods=["POST"]),
        Route("/storage/v1/b/{bucket}", get_bucket),
        Route("/storage/v1/b/{bucket}/o", list_objects),
        Route(f"{_OBJECT}/compose", compose, methods=["POST"]),
        Route(f"{_OBJECT}/rewriteTo/b/{{to}}/o/{{target:path}}", rewrite, methods=["POST"]),
        Route(_OBJECT, get_object),
        Route(_OBJECT, delete_object, methods=["DELETE"]),
        Route(f"/download{_OBJECT}", get_object),
        Route("/upload/storage/v1/b/{bucket}/o", upload_objects, methods=["POST", "PUT", "DELETE"]),
    ],
    exception_handlers={HTTPException: problem},
    middleware=[Middleware(Counted)],
)

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run(sockets=[listener])
