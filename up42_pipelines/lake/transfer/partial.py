"""The local half of a download: bytes on disk, and what is known about the object they belong to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import google_crc32c

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.store import explain


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A download that arrived whole.

    Attributes:
        path: the local file.
        size: bytes.
        crc32c: base64 of the big-endian value, as Google Cloud Storage writes it in `x-goog-hash`.
        sha256: hexadecimal.
        content_type: media type as the server says, without parameters; information only.
        filename: from Content-Disposition, made safe; information only.
    """

    path: Path
    size: int
    crc32c: str
    sha256: str
    content_type: str | None
    filename: str | None


class PartialFile:
    """The bytes so far and their running hashes; used in a `with` block, and removed at its end unless finished.

    Attributes:
        target: the local file.
        size: bytes so far.
        total: bytes in all, when the server said so.
        etag: strong ETag of the object that these bytes belong to; None when it has none.

    Raises:
        LakeError: the file cannot be written.
    """

    size: int
    total: int | None
    etag: str | None

    def __init__(self, target: Path, on_progress: Callable[[int, int | None], None] | None) -> None:
        self.target, self._on_progress = target, on_progress
        self._finished = False
        self.size = 0
        try:
            self._file: BinaryIO = target.open("wb")
        except OSError as error:
            raise self._unwritable(error) from error
        self.restart({})

    def restart(self, headers: Mapping[str, str]) -> None:
        """Forget what is there; what comes next is the object that these answer headers describe."""
        self._headers = dict(headers)
        had_bytes, self.size = self.size > 0, 0
        length = self._headers.get("content-length", "")
        self.total = int(length) if length.isdecimal() else None
        etag = self._headers.get("etag", "")
        # A weak ETag ("W/...") does not promise identical bytes, so it cannot be resumed on.
        self.etag = etag if etag.startswith('"') else None
        self._crc32c, self._sha256 = 0, hashlib.sha256()
        # md5 costs twice as much as sha256, so only when nothing better is announced.
        announced = self.announced
        self._md5 = hashlib.md5(usedforsecurity=False) if "md5" in announced and "crc32c" not in announced else None
        if had_bytes:
            self._writing(self._file.seek, 0)
            self._writing(self._file.truncate)

    @property
    def announced(self) -> dict[str, str]:
        """Checksums of `x-goog-hash`, by name; none when the store decompressed the object on the way.

        They describe the stored bytes (https://cloud.google.com/storage/docs/transcoding).
        """
        stored_as = self._headers.get("x-goog-stored-content-encoding", "identity")
        if stored_as != self._headers.get("content-encoding", "identity"):
            return {}
        pairs = (part.strip().partition("=") for part in self._headers.get("x-goog-hash", "").split(","))
        return {name: value for name, _, value in pairs if value}

    @property
    def verifiable(self) -> bool:
        """Whether the end of the object can be told from a dropped connection."""
        chunked = self._headers.get("transfer-encoding", "").lower() == "chunked"
        return self.total is not None or chunked or bool(self.announced)

    def append(self, piece: bytes) -> None:
        """Write and hash what came next."""
        self._writing(self._file.write, piece)
        self._crc32c = google_crc32c.extend(self._crc32c, piece)
        self._sha256.update(piece)
        if self._md5 is not None:
            self._md5.update(piece)
        self.size += len(piece)
        if self._on_progress is not None:
            self._on_progress(self.size, self.total)

    def mismatch(self) -> str | None:
        """What of the announced checksums the received bytes contradict."""
        ours = {"crc32c": self.crc32c}
        if self._md5 is not None:
            ours["md5"] = base64.b64encode(self._md5.digest()).decode()
        for name, value in ours.items():
            announced = self.announced.get(name)
            if announced is not None and announced != value:
                return f"{name} is {value}, the server announced {announced}"
        return None

    @property
    def crc32c(self) -> str:
        """Of the bytes so far, base64 of the big-endian value."""
        return base64.b64encode(self._crc32c.to_bytes(4, "big")).decode()

    def finish(self) -> Received:
        """Declare the object complete, and keep it."""
        self._writing(self._file.flush)
        self._finished = True
        content_type = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        return Received(
            path=self.target,
            size=self.size,
            crc32c=self.crc32c,
            sha256=self._sha256.hexdigest(),
            content_type=content_type or None,
            filename=_filename(self._headers.get("content-disposition")),
        )

    def _writing(self, act: Callable[..., Any], *arguments: Any) -> None:
        try:
            act(*arguments)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> LakeError:
        return explain(error, f"Cannot write the download to {self.target}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            if error is None:
                raise self._unwritable(failure) from failure
        finally:
            if not self._finished:
                self.target.unlink(missing_ok=True)


def _filename(disposition: str | None) -> str | None:
    if not disposition:
        return None
    message = Message()
    message["Content-Disposition"] = disposition
    name = message.get_filename()
    return safe_name(name.replace("\\", "/").rpartition("/")[2]) if name else None
