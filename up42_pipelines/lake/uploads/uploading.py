"""Writing to any store: in parts, a whole file, one small object."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c

from up42_pipelines.lake.uploads.google import GoogleUpload, insert_object
from up42_pipelines.lake.uploads.moved import MovedUpload
from up42_pipelines.lake.uploads.s3 import MOST_PARTS, S3Upload, put_object
from up42_pipelines.lake.uploads.upload import Upload, backends, until_whole

# The same as those of a download: in memory at once is one per thread.
_PART_BYTES = 8 << 20
_THREADS = 4


def begin_upload(fs: Any, path: str) -> Upload:
    """Begin an object that is written in parts.

    Args:
        fs: an fsspec filesystem.
        path: of the object, as `fs` spells it.
    """
    known = backends(fs)
    if "gs" in known:
        return GoogleUpload(fs, path)
    return S3Upload(fs, path) if "s3" in known else MovedUpload(fs, path)


def write_object(fs: Any, path: str, content: bytes | bytearray | memoryview, crc32c: int) -> None:
    """Write a small object, replacing what is there; an object store compares the checksum before.

    Args:
        fs: an fsspec filesystem.
        path: of the object, as `fs` spells it.
        content: all of it.
        crc32c: of the content.

    Raises:
        OSError: the store does not take it. Backends raise others, too.
    """
    known, view = backends(fs), memoryview(content)
    if known & {"gs", "s3"}:
        put = insert_object if "gs" in known else put_object
        until_whole(lambda: put(fs, path, view, crc32c))
        fs.invalidate_cache()
        return
    with begin_upload(fs, path) as upload:
        upload.put(0, view, crc32c)
        upload.commit()


def upload_file(fs: Any, file: Path, path: str, *, part_bytes: int = _PART_BYTES) -> None:
    """Write a local file to a store, replacing what is there: large ones in parallel parts.

    Args:
        fs: an fsspec filesystem.
        file: nobody writes to it meanwhile.
        path: of the object, as `fs` spells it.
        part_bytes: length of the parts; longer ones are chosen where these were too many.

    Raises:
        OSError: the store does not take it. Backends raise others, too.
    """
    size = file.stat().st_size
    part_bytes = max(part_bytes, -(-size // MOST_PARTS))

    def content(index: int) -> bytes:
        with file.open("rb") as opened:
            opened.seek(index * part_bytes)
            return opened.read(part_bytes)

    def put(index: int) -> None:
        part = content(index)
        upload.put(index, part, google_crc32c.value(part))

    count = max(1, -(-size // part_bytes))
    if count == 1:
        whole = content(0)
        write_object(fs, path, whole, google_crc32c.value(whole))
        return
    with begin_upload(fs, path) as upload:
        with ThreadPoolExecutor(1 if upload.in_order else _THREADS, thread_name_prefix="upload") as pool:
            try:
                for sent in [pool.submit(put, index) for index in range(count)]:
                    sent.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        upload.commit()
