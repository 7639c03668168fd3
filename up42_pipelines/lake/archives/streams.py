"""The bytes of an archive, in order, never more than asked for and never more than allowed."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.archives.formats import Format

CHUNK_BYTES = 1 << 20
REMEDY = "Nothing of it is kept. Have the asset delivered again, and tell UP42 if it comes the same."


class Forward:
    """A stream that is read once, front to back.

    Attributes:
        position: bytes read or skipped so far.
    """

    def __init__(self, file: BinaryIO, *, most: int, size: int | None) -> None:
        """Read `file`; `most`: bytes it may have; `size`: what it has, when a seek is cheap, else None."""
        self._file, self._most, self._size = file, most, size
        self.position = 0

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; fewer only at the end.

        Raises:
            InvalidDelivery: there is more in it than allowed.
        """
        content = self._file.read(count)
        self._move(len(content))
        return content

    def read_exactly(self, count: int) -> bytes:
        """`count` bytes.

        Raises:
            EOFError: it ends before.
            InvalidDelivery: there is more in it than allowed.
        """
        content = self.read(count)
        if len(content) < count:
            raise EOFError("it ends too early")
        return content

    def skip(self, count: int) -> None:
        """Go on by `count` bytes; raises as `read_exactly` does."""
        if self._size is None:
            while count:
                count -= len(self.read_exactly(min(count, CHUNK_BYTES)))
            return
        if self.position + count > self._size:
            raise EOFError("it ends too early")
        self._file.seek(count, io.SEEK_CUR)
        self._move(count)

    def drain(self) -> None:
        """Read to the end, where gzip and bzip2 have their checksums."""
        if self._size is None:
            while self.read(CHUNK_BYTES):
                pass

    def _move(self, count: int) -> None:
        self.position += count
        if self.position > self._most:
            raise InvalidDelivery(
                f"it becomes more than {self._most} bytes (limits `total_bytes`, `ratio`, `ratio_from_bytes`)"
            )


@contextmanager
def open_stream(path: Path, kind: Format, *, most: int) -> Iterator[Forward]:
    """What is inside the compression of a file, or the file itself when it has none."""
    if kind in {Format.TAR_GZ, Format.GZ}:
        with gzip.open(path) as unzipped:
            yield Forward(cast("BinaryIO", unzipped), most=most, size=None)
    elif kind in {Format.TAR_BZ2, Format.BZ2}:
        with bz2.open(path) as unzipped:
            yield Forward(cast("BinaryIO", unzipped), most=most, size=None)
    else:
        with path.open("rb") as file:
            yield Forward(file, most=most, size=path.stat().st_size)


@contextmanager
def explained(archive: str) -> Iterator[None]:
    """Turn what the readers raise about an archive into our errors, which name it."""
    try:
        yield
    except InvalidDelivery as error:
        raise InvalidDelivery(
            f"{archive} is not unpacked: {str(error).removesuffix('. ' + REMEDY)}. {REMEDY}"
        ) from error
    except (EOFError, ValueError, NotImplementedError, struct.error, zlib.error) as error:
        raise InvalidDelivery(f"{archive} is damaged: {error}. {REMEDY}") from error
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise InvalidDelivery(f"{archive} is damaged: {error}. {REMEDY}") from error
    except OSError as error:
        if error.errno is None:  # bz2 has no error of its own
            raise InvalidDelivery(f"{archive} is damaged: {error}. {REMEDY}") from error
        raise LakeError(f"{archive} cannot be unpacked: {error}. Nothing of it is kept; try again.") from error
