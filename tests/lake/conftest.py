"""A file server with switches for everything that goes wrong, and rasters of every kind a provider delivers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google_crc32c
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from up42_pipelines.lake import Lake, RasterWorker, VectorWorker
from up42_pipelines.lake.rasters.raster import closed_world

DATA = Path(__file__).parents[3] / "shared" / "data"
UTM33 = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000)}


@dataclass
class Stored:
    """One object of the server; `etag` and `hashes` None leave the header out."""

    content: bytes
    content_type: str = "application/octet-stream"
    etag: str | None = '"v1"'
    hashes: str | None = "crc32c"
    ranges: bool = True
    extra: dict[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": self.content_type, **self.extra}
        if self.etag:
            headers["ETag"] = self.etag
        if self.hashes == "crc32c":
            digest = google_crc32c.value(self.content).to_bytes(4, "big")
            headers["x-goog-hash"] = f"crc32c={base64.b64encode(digest).decode()}"
        elif self.hashes == "md5":
            headers["x-goog-hash"] = f"md5={base64.b64encode(hashlib.md5(self.content).digest()).decode()}"
        elif self.hashes:
            headers["x-goog-hash"] = self.hashes
        return headers


@dataclass
class Fault:
    """What goes wrong with one request."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None  # bytes of the body, then the connection is cut
    flip: bool = False  # one bit of the last byte
    length: int | None = None  # a lying Content-Length
    no_length: bool = False
    chunked: bool = False
    before: Callable[[Stored], None] | None = None  # change the object first
    halfway: Callable[[], None] | None = None  # when half of the body is out
    no_range: bool = False  # answer with the whole object
    claim: int = 200  # and with this status
    reset: bool = False  # cut with RST, not with FIN
    mid_header: bool = False  # cut within the headers
    trickle: bool = False  # a byte now and then, until the client has had enough
    silent: bool = False  # nothing at all


@dataclass
class FileServer:
    url: str = ""
    objects: dict[str, Stored] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)  # when there are no more faults in the queue
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)  # bytes of bodies
    clients: set[Any] = field(default_factory=set)  # addresses: one per connection
    signed: int = 0
    hung_up: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # once per connection
    over: threading.Event = field(default_factory=threading.Event)

    def put(self, name: str, content: bytes, *faults: Fault, **options: Any) -> str:
        self.objects[f"/{name}"] = Stored(content, **options)
        self.faults[f"/{name}"] = list(faults)
        return f"{self.url}/{name}"

    def sign(self, href: str) -> str:
        self.signed += 1
        return f"{href}?Expires=1&Signature=SECRET{self.signed}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets, and the second would wait for 40 ms
    server: Any

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            self._answer(self.server.files)

    def _answer(self, files: FileServer) -> None:
        path = urlsplit(self.path).path
        files.clients.add(self.client_address)
        files.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        queue = files.faults.get(path, [])
        fault = queue.pop(0) if queue else files.always.get(path, Fault())
        stored = files.objects.get(path)
        if stored is None:
            self._send(404, {}, b"<Error>NoSuchKey</Error>", Fault())
            return
        if fault.before:
            fault.before(stored)
        if fault.status:
            self._send(fault.status, fault.headers, b"<Error>told so</Error>", Fault())
            return
        headers, body, status = {**stored.headers(), **fault.headers}, stored.content, fault.claim
        if stored.ranges and self.headers.get("If-Match", stored.etag) != stored.etag:
            self._send(412, {}, b"<Error>PreconditionFailed</Error>", Fault())
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and stored.ranges and not fault.no_range and self.headers.get("If-Range", stored.etag) == stored.etag:
            first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
            if first >= len(body):
                self._send(416, {"Content-Range": f"bytes */{len(body)}"}, b"<Error>InvalidRange</Error>", Fault())
                return
            headers.setdefault("Content-Range", f"bytes {first}-{last}/{len(body)}")
            body, status = body[first : last + 1], 206
        self._send(status, headers, body, fault)

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        if fault.silent:
            self._until_the_client_leaves(b"")
            return
        length = len(body) if fault.length is None else fault.length
        if fault.flip and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not fault.no_length:
            self.send_header("Content-Length", str(length))
        if fault.mid_header:
            self._headers_buffer = [b"".join(self._headers_buffer)[:-7]]
            self.flush_headers()
            self._cut(fault)
            return
        self.end_headers()
        self._send_body(body, fault)
        if fault.no_length or length != len(body):
            self._cut(fault)

    def _send_body(self, body: bytes, fault: Fault) -> None:
        if fault.trickle:
            self._until_the_client_leaves(body)
            return
        body = body if fault.drop_after is None else body[: fault.drop_after]
        self.server.files.sent[urlsplit(self.path).path] += len(body)
        if fault.chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        self.wfile.write(body[: len(body) // 2])
        if fault.halfway:
            fault.halfway()
        self.wfile.write(body[len(body) // 2 :])
        if fault.drop_after is not None:
            self._cut(fault)

    def _cut(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _until_the_client_leaves(self, body: bytes) -> None:
        self.close_connection = True
        self.connection.settimeout(0.05)  # the pace of the bytes
        for at in range(1 << 20):
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return
            if self.server.files.over.is_set():
                return
            self.wfile.write(body[at : at + 1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # of 5, a burst of connections loses some for a second
    files: FileServer

    def handle_error(self, *_: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(*_)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.files.hung_up.release()


@contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.files = FileServer(url=f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.files
    finally:
        server.files.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def files() -> Iterator[FileServer]:
    with serve() as server:
        yield server


@pytest.fixture(scope="session")
def start_files() -> Callable[..., AbstractContextManager[FileServer]]:
    """`with start_files() as files`: one more server; over TLS when a context is given."""
    return serve


@pytest.fixture(scope="module")
def shared_files() -> Iterator[FileServer]:
    """One server for all tests of a module; each uses names of its own."""
    with serve() as server:
        yield server


@pytest.fixture
def fault() -> type[Fault]:
    return Fault


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    def make(count: int = 1, size: int = 700, dtype: str = "uint16", top: int = 4000) -> np.ndarray:
        # Shape (band, y, x); not square, so that swapped axes show.
        return np.random.default_rng(count).integers(1, top, (count, size, size - 50)).astype(dtype)

    return make


@pytest.fixture
def make_raster(tmp_path: Path) -> Callable[..., Path]:
    """Write an array, shape (band, y, x), as a raster; UTM 33N unless `crs` or `transform` is given."""

    def make(
        name: str,
        pixels: np.ndarray,
        *,
        decorate: Callable[[Any], None] | None = None,
        driver: str = "GTiff",
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not {"crs", "transform", "bare"} & options.keys():
            options |= UTM33
        options.pop("bare", None)
        count, height, width = pixels.shape
        profile = {"driver": driver, "count": count, "height": height, "width": width, "dtype": pixels.dtype, **options}
        with closed_world(), rasterio.open(path, "w", **profile) as dataset:
            dataset.write(pixels)
            if decorate:
                decorate(dataset)
        return path

    return make


@pytest.fixture
def cog_bytes(make_raster: Callable[..., Path], noise: Callable[..., np.ndarray]) -> bytes:
    """A small valid COG: four bands, blue, green, red, nir."""

    def decorate(dataset: Any) -> None:
        dataset.descriptions = ("blue", "green", "red", "nir")

    path = make_raster("cog_source.tif", noise(4, 300), decorate=decorate)
    target = path.with_name("cog_bytes.tif")
    rasterio.shutil.copy(path, target, driver="COG", COMPRESS="DEFLATE")
    return target.read_bytes()


@pytest.fixture
def striped_bytes(make_raster: Callable[..., Path], noise: Callable[..., np.ndarray]) -> bytes:
    """A GeoTIFF that is no COG."""
    return make_raster("striped.tif", noise(3, 700)).read_bytes()


@pytest.fixture
def up42_item() -> Callable[..., pystac.Item]:
    """An item as UP42 serves it; assets as key -> (href, media type, roles)."""

    def make(
        assets: dict[str, tuple[str, str | None, list[str]]], item_id: str = "17e30000-0000", **changes: Any
    ) -> pystac.Item:
        west, south = 13.1, 52.3
        east, north = west + 0.1, south + 0.1
        document = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": item_id,
            "collection": "c011ec00",
            "stac_extensions": ["https://stac-extensions.github.io/eo/v1.0.0/schema.json"],
            "bbox": [west, south, east, north],
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
            },
            "properties": {
                "datetime": "2024-05-01T10:12:13+00:00",
                "gsd": 0.5,
                "eo:cloud_cover": 2.3,
                "up42-order:id": "0rder000",
                "up42-system:asset_id": "a55e7000",
                "up42-user:tags": ["one", "two"],
            },
            "assets": {
                key: {"href": href, "roles": roles, **({"type": media_type} if media_type else {})}
                for key, (href, media_type, roles) in assets.items()
            },
            "links": [
                # Nobody may follow these: the host does not exist, and the network is blocked.
                {"rel": rel, "href": f"https://api.up42.invalid/{rel}", "type": "application/json"}
                for rel in ("self", "root", "parent", "collection", "license")
            ],
        }
        return pystac.Item.from_dict(json.loads(json.dumps({**document, **changes})))

    return make


@pytest.fixture
def alpha() -> Callable[[Any], None]:
    def decorate(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]

    return decorate


@pytest.fixture
def real_data() -> Path:
    """Real and hostile files beside the repository; they are not part of it."""
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA}")
    return DATA


@pytest.fixture(scope="session")
def race() -> Callable[..., list[Any]]:
    """`race(verb, lake, **options)`: eight processes at once, see `racers.py`; their answers."""

    def run(verb: str, lake: Lake, storage_options: dict[str, Any] | None = None, **options: Any) -> list[Any]:
        job = json.dumps([verb, lake.url, storage_options or {}, options])
        program = [sys.executable, Path(__file__).with_name("racers.py"), job]
        return json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True, timeout=60).stdout)

    return run


@pytest.fixture(scope="session")
def rasters() -> Iterator[RasterWorker]:
    """What opens untrusted rasters; one helper process for all tests."""
    with RasterWorker() as worker:
        yield worker


@pytest.fixture(scope="session")
def vectors() -> Iterator[VectorWorker]:
    """What opens untrusted features; one helper process for all tests, from the first that has some."""
    with VectorWorker() as worker:
        yield worker
