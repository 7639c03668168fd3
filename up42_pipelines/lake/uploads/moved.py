"""Objects on file systems that know no parts: written in order under a temporary name, and moved."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from up42_pipelines.lake.local_files import TEMPORARY, publish_file
from up42_pipelines.lake.uploads.upload import Piece, Upload, backends

# memory:// itself looks first and writes then, and its listing stumbles over what another thread removes.
MEMORY = threading.Lock()


class MovedUpload(Upload):
    """One temporary file. What the file system holds is verified by its length alone."""

    in_order = True

    def __init__(self, fs: Any, path: str) -> None:
        super().__init__(fs, path)
        folder, slash, name = path.rpartition("/")
        self._temporary = f"{folder}{slash}.{name}.{secrets.token_hex(8)}{TEMPORARY}"
        fs.makedirs(folder, exist_ok=True)
        self._file = fs.open(self._temporary, "wb")

    def _put(self, index: int, content: memoryview, crc32c: int) -> Piece:
        if index != len(self._pieces):
            raise ValueError(f"this file system takes parts in order: {len(self._pieces)} is next, not {index}")
        self._file.write(content)
        return Piece(size=len(content), crc32c=crc32c)

    def _publish(self, pieces: Sequence[Piece], whole: Piece) -> None:  # noqa: ARG002 - they are in the file
        self._file.close()
        self._fs.invalidate_cache()
        if self._fs.size(self._temporary) != whole.size:
            raise OSError(f"{self._temporary} does not hold the {whole.size} bytes that were written")
        if isinstance(self._fs, LocalFileSystem):
            publish_file(Path(self._temporary), Path(self._path))
            return
        with self._undisturbed():
            self._fs.mv(self._temporary, self._path)

    def _clean_up(self) -> None:
        self._file.close()
        with self._undisturbed():
            self._fs.rm_file(self._temporary)

    def _undisturbed(self) -> Any:
        return MEMORY if "memory" in backends(self._fs) else nullcontext()
