"""What uploads into all stores have in common."""

from __future__ import annotations

import mimetypes
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from up42_pipelines.lake.transfer.checksums import combine

# Bytes that were damaged on the way are sent again so often; time-outs and 5xx are retried by gcsfs and s3fs.
_SENDINGS = 3
_Answer = TypeVar("_Answer")


class Damaged(OSError):
    """The store holds other bytes than were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes that a store has.

    Attributes:
        size: bytes.
        crc32c: of the bytes.
        name: what the store calls it: an ETag of S3, an object of Google Cloud Storage.
        generation: of that object.
    """

    size: int
    crc32c: int
    name: str = ""
    generation: str = ""

    @staticmethod
    def joined(pieces: Sequence[Piece]) -> Piece:
        """What pieces in a row amount to."""
        crc32c = reduce(lambda crc, piece: combine(crc, piece.crc32c, piece.size), pieces, 0)
        return Piece(size=sum(piece.size for piece in pieces), crc32c=crc32c)


class Upload(ABC):
    """An object on its way into a store; used in a `with` block, which aborts what was not committed.

    Parts may be put from several threads at once, in any order, unless `in_order`. Readers see what had the name
    before, until `commit`.

    Attributes:
        in_order: whether parts have to be put one after another.
    """

    in_order: ClassVar[bool] = False

    def __init__(self, fs: Any, path: str) -> None:
        self._fs, self._path = fs, path
        self._content_type = content_type_of(path)
        self._pieces: dict[int, Piece] = {}
        self._committed = False

    def put(self, index: int, content: bytes | bytearray | memoryview, crc32c: int) -> None:
        """Send a part; the buffer is free again afterwards.

        Args:
            index: 0 for the first; no gaps when it comes to `commit`.
            content: all parts but the last hold at least `SMALLEST_PART_BYTES`.
            crc32c: of the content.

        Raises:
            OSError: the store does not take it, or holds something else. Backends raise others, too.
        """
        view = memoryview(content)
        self._pieces[index] = until_whole(lambda: self._put(index, view, crc32c))

    def commit(self) -> Piece:
        """Give the object its name, replacing what has it; its size and CRC-32C.

        Raises:
            OSError: it did not become an object. Backends raise others, too.
        """
        if not self._pieces or sorted(self._pieces) != list(range(len(self._pieces))):
            raise ValueError(f"parts {sorted(self._pieces)} are no whole object")
        pieces = [self._pieces[index] for index in range(len(self._pieces))]
        whole = Piece.joined(pieces)
        self._publish(pieces, whole)
        self._committed = True
        self._fs.invalidate_cache()
        return whole

    def abort(self) -> None:
        """Remove what was sent; no thread may be in `put` any more. `lake gc` finds what cannot be removed now."""
        with suppress(Exception):  # each backend has its own, and what made us abort is what matters
            self._clean_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            self.abort()

    @abstractmethod
    def _put(self, index: int, content: memoryview, crc32c: int) -> Piece: ...

    @abstractmethod
    def _publish(self, pieces: Sequence[Piece], whole: Piece) -> None: ...

    @abstractmethod
    def _clean_up(self) -> None: ...


def until_whole(send: Callable[[], _Answer]) -> _Answer:
    """Send again what was damaged on the way."""
    for sending in range(1, _SENDINGS + 1):
        try:
            return send()
        except Exception as error:
            if sending == _SENDINGS or not _damaged(error):
                raise
    raise AssertionError("the last sending answers or raises")


def content_type_of(path: str) -> str:
    """Media type by the name's extension, as gcsfs and s3fs guess it."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def backends(fs: Any) -> set[str]:
    """The protocols that a filesystem is known by."""
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def _damaged(error: Exception) -> bool:
    """Whether the store refused bytes because of their checksum, or holds others; botocore repeats what S3 refused."""
    refused_by_google = getattr(error, "code", None) == 400 and "crc32c" in str(error).lower()
    return isinstance(error, Damaged) or refused_by_google
