"""Objects in S3, and in stores that speak its language: multipart uploads through s3fs."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

from up42_pipelines.lake.transfer.checksums import as_base64
from up42_pipelines.lake.uploads.upload import Damaged, Piece, Upload, content_type_of

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html; the last part may be smaller.
SMALLEST_PART_BYTES = 5 << 20
MOST_PARTS = 10_000


class S3Upload(Upload):
    """A multipart upload. One that nobody completes or aborts costs money; `unfinished_uploads` lists it."""

    def __init__(self, fs: Any, path: str) -> None:
        super().__init__(fs, path)
        bucket, key, _ = fs.split_path(path)
        self._target = {"Bucket": bucket, "Key": key}
        begun = fs.call_s3(
            "create_multipart_upload",
            **self._target,
            ContentType=self._content_type,
            ChecksumAlgorithm="CRC32C",
            ChecksumType="FULL_OBJECT",
        )
        self._upload = {**self._target, "UploadId": begun["UploadId"]}

    def _put(self, index: int, content: memoryview, crc32c: int) -> Piece:
        answer = self._fs.call_s3(
            "upload_part", **self._upload, PartNumber=index + 1, Body=_Reader(content), **_checked(crc32c)
        )
        etag = answer["ETag"].strip('"')
        held = answer.get("ChecksumCRC32C")
        # A store that knows no CRC-32C says none; its ETag of a part is the MD5 of it.
        if held is None and etag == hashlib.md5(content, usedforsecurity=False).hexdigest():
            held = as_base64(crc32c)
        if held != as_base64(crc32c):
            raise Damaged(f"the store holds other bytes of part {index} than were sent")
        return Piece(size=len(content), crc32c=crc32c, name=etag)

    def _publish(self, pieces: Sequence[Piece], whole: Piece) -> None:
        parts = [
            {"PartNumber": number, "ETag": f'"{piece.name}"', "ChecksumCRC32C": as_base64(piece.crc32c)}
            for number, piece in enumerate(pieces, 1)
        ]
        try:
            self._fs.call_s3(
                "complete_multipart_upload",
                **self._upload,
                MultipartUpload={"Parts": parts},
                ChecksumCRC32C=as_base64(whole.crc32c),
                ChecksumType="FULL_OBJECT",
            )
        except FileNotFoundError:
            # The upload is over: a request whose answer was lost has completed it, or somebody aborted it.
            digest = hashlib.md5(b"".join(bytes.fromhex(piece.name) for piece in pieces), usedforsecurity=False)
            there = self._fs.call_s3("head_object", **self._target)
            if there["ETag"].strip('"') != f"{digest.hexdigest()}-{len(pieces)}":
                raise

    def _clean_up(self) -> None:
        self._fs.call_s3("abort_multipart_upload", **self._upload)


def put_object(fs: Any, path: str, content: memoryview, crc32c: int) -> None:
    """Write an object with one request; the store compares its checksum before."""
    bucket, key, _ = fs.split_path(path)
    target = {"Bucket": bucket, "Key": key, "ContentType": content_type_of(path)}
    fs.call_s3("put_object", **target, Body=_Reader(content), **_checked(crc32c))


def _checked(crc32c: int) -> dict[str, str]:
    return {"ChecksumAlgorithm": "CRC32C", "ChecksumCRC32C": as_base64(crc32c)}


class _Reader(io.RawIOBase):
    """Bytes as a file: aiohttp sends it in small blocks, and would copy the bytes as a whole."""

    def __init__(self, content: memoryview) -> None:
        self._content, self._at = content, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), len(self._content) - self._at)
        buffer[:count] = self._content[self._at : self._at + count]
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, len(self._content))[whence]
        return self._at

    def tell(self) -> int:
        return self._at
