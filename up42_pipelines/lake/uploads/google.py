"""Objects in Google Cloud Storage: parts composed, through gcsfs' `call`, which authenticates and tries again.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from up42_pipelines.lake.local_files import TEMPORARY
from up42_pipelines.lake.transfer.checksums import as_base64
from up42_pipelines.lake.uploads.upload import Damaged, Piece, Upload, content_type_of

# https://cloud.google.com/storage/docs/composite-objects
_MOST_COMPOSED = 32
_REQUESTS = 16
# Smaller blocks cost more turns of gcsfs' one event loop, larger ones a copy of what the socket does not take.
_BLOCK_BYTES = 1 << 20


class GoogleUpload(Upload):
    """Parts as objects `.<name>.<token>.<n>.part` beside the final one, which are gone when it is there."""

    def __init__(self, fs: Any, path: str) -> None:
        super().__init__(fs, path)
        self._bucket, self._name, _ = fs.split_path(path)
        folder, slash, name = self._name.rpartition("/")
        self._beside = f"{folder}{slash}.{name}.{secrets.token_hex(8)}"
        self._temporary: set[str] = set()

    def _put(self, index: int, content: memoryview, crc32c: int) -> Piece:
        name = self._temporary_name(str(index))
        return _insert(self._fs, self._bucket, name, content, crc32c, self._content_type)

    def _publish(self, pieces: Sequence[Piece], whole: Piece) -> None:
        level = 0
        with ThreadPoolExecutor(_REQUESTS, thread_name_prefix="compose") as pool:
            while len(pieces) > 1:
                level += 1
                groups = [pieces[at : at + _MOST_COMPOSED] for at in range(0, len(pieces), _MOST_COMPOSED)]
                names = [f"{level}-{index}" for index in range(len(groups))]
                pieces = list(pool.map(self._composed, names, groups))
        self._rewrite(_verified(pieces[0], whole))
        self.abort()

    def _composed(self, suffix: str, pieces: Sequence[Piece]) -> Piece:
        name = self._temporary_name(suffix)
        stored = self._fs.call(
            "POST",
            "b/{}/o/{}/compose",
            self._bucket,
            name,
            json={
                "kind": "storage#composeRequest",
                "sourceObjects": [{"name": piece.name, "generation": piece.generation} for piece in pieces],
                "destination": {"contentType": self._content_type},
            },
            json_out=True,
        )
        return _verified(_described(stored), Piece.joined(pieces))

    def _rewrite(self, piece: Piece) -> None:
        names = self._bucket, piece.name, self._bucket, self._name
        options = {"sourceGeneration": piece.generation, "json_out": True}
        answer = self._fs.call("POST", "b/{}/o/{}/rewriteTo/b/{}/o/{}", *names, **options)
        while not answer["done"]:
            options["rewriteToken"] = answer["rewriteToken"]
            answer = self._fs.call("POST", "b/{}/o/{}/rewriteTo/b/{}/o/{}", *names, **options)

    def _temporary_name(self, suffix: str) -> str:
        name = f"{self._beside}.{suffix}{TEMPORARY}"
        self._temporary.add(name)
        return name

    def _clean_up(self) -> None:
        def remove(name: str) -> None:
            with suppress(Exception):  # one that cannot be removed does not keep the others
                self._fs.call("DELETE", "b/{}/o/{}", self._bucket, name)

        with ThreadPoolExecutor(_REQUESTS, thread_name_prefix="clean-up") as pool:
            list(pool.map(remove, self._temporary))


def insert_object(fs: Any, path: str, content: memoryview, crc32c: int) -> None:
    """Write an object with one request; the store compares its checksum before."""
    bucket, name, _ = fs.split_path(path)
    _insert(fs, bucket, name, content, crc32c, content_type_of(path))


def _insert(fs: Any, bucket: str, name: str, content: memoryview, crc32c: int, content_type: str) -> Piece:
    boundary = secrets.token_hex(16)
    metadata = json.dumps({"name": name, "contentType": content_type, "crc32c": as_base64(crc32c)})
    head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n"
    head += f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n"
    body = _Body(memoryview(head.encode()), content, memoryview(f"\r\n--{boundary}--\r\n".encode()))
    stored = fs.call(
        "POST",
        f"{fs.base.removesuffix('storage/v1/')}upload/storage/v1/b/{{}}/o",
        bucket,
        uploadType="multipart",
        headers={"Content-Type": f'multipart/related; boundary="{boundary}"', "Content-Length": str(body.size)},
        data=body,
        json_out=True,
    )
    return _verified(_described(stored), Piece(size=len(content), crc32c=crc32c))


class _Body:
    """A request's body, sent block by block, and from its beginning when gcsfs tries again.

    aiohttp copies what it is given whole, and gcsfs' own uploads join head and content: 1 GB would not stay below
    150 MB with a few parts on their way.
    """

    def __init__(self, *pieces: memoryview) -> None:
        self._pieces = pieces
        self.size = sum(map(len, pieces))

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for piece in self._pieces:
            for at in range(0, len(piece), _BLOCK_BYTES):
                yield piece[at : at + _BLOCK_BYTES]


def _described(stored: dict[str, Any]) -> Piece:
    """An object as the store describes it."""
    crc32c = int.from_bytes(base64.b64decode(stored["crc32c"]), "big")
    return Piece(size=int(stored["size"]), crc32c=crc32c, name=stored["name"], generation=str(stored["generation"]))


def _verified(found: Piece, wanted: Piece) -> Piece:
    if (found.size, found.crc32c) != (wanted.size, wanted.crc32c):
        raise Damaged(f"the store holds other bytes in {found.name} than were sent")
    return found
