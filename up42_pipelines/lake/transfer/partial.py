"""The local half of a transfer: the bytes on disk so far, the journal beside them, and what they become."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import google_crc32c

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake.local_files import write_file
from up42_pipelines.lake.transfer.checksums import md5_of, sha256_of
from up42_pipelines.lake.transfer.part_journal import entry, opening, read_journal
from up42_pipelines.lake.transfer.plan import Part, Plan

_REREAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A download that arrived whole.

    Attributes:
        path: the local file.
        size: bytes.
        crc32c: base64 of the big-endian value, as Google Cloud Storage writes it in `x-goog-hash`.
        content_type: media type as the server says, without parameters; information only.
        filename: from Content-Disposition, made safe; information only.
        verified_by: the best that the server announced: a checksum, or nothing but the length.
    """

    path: Path
    size: int
    crc32c: str
    content_type: str | None
    filename: str | None
    verified_by: Literal["crc32c", "md5", "length"]

    def sha256(self) -> str:
        """Of the file as it is now, hexadecimal; reads all of it."""
        return sha256_of(self.path)


class PartialFile:
    """`<target>.partial`, pre-sized and written at any place, and `<target>.journal`, which outlive a killed process.

    The target's own name is only given to bytes that were verified. A lock on the file (flock(2)) keeps out every other
    process, and every other thread.

    Attributes:
        target: the local file that it becomes.

    Raises:
        TransferError: somebody else is writing it.
        LakeError: it cannot be written; so does every method.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.partial")
        self._journal_path = target.with_name(f"{target.name}.journal")
        self._journal: int | None = None
        self._worth_keeping = False
        self._lock = threading.Lock()
        with self._writing():
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._file = self._open_locked()

    def resume(self) -> tuple[Plan, Mapping[int, int]] | None:
        """What an earlier transfer left: its plan, and by index the CRC-32C of each part that is really there.

        Every part that the journal names is read again. So nothing has to be flushed before the journal says so: what a
        power cut took away, or tore, is just fetched again.
        """
        try:
            known = read_journal(self._journal_path.read_bytes())
        except OSError:
            return None
        if known is None:
            return None
        plan, entries = known
        there = {
            part.index: crc32c
            for part in plan.parts
            if (crc32c := entries.get(part.index)) is not None and self._crc32c_on_disk(part) == crc32c
        }
        if not there:
            return None
        with self._writing():
            self._allocate(plan)
            write_file(self._journal_path, opening(plan) + b"".join(entry(*item) for item in there.items()))
            self._journal = os.open(self._journal_path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._worth_keeping = True
        return plan, there

    def begin(self, plan: Plan) -> None:
        """Forget what is there; what comes next are the parts of this plan."""
        self.forget()
        if len(plan.parts) == 1:
            return  # a journal could not save any of it
        with self._writing():
            self._allocate(plan)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            self._journal = os.open(self._journal_path, flags, 0o666)
            os.write(self._journal, opening(plan))

    def forget(self) -> None:
        """Nothing of what is there can be used."""
        self._worth_keeping = False
        with self._writing():
            self._close_journal()
            self._journal_path.unlink(missing_ok=True)
            os.ftruncate(self._file, 0)

    def write(self, piece: memoryview, at: int) -> None:
        """Write bytes at their place."""
        with self._writing():
            while piece:
                written = os.pwrite(self._file, piece, at)
                piece, at = piece[written:], at + written

    def finished(self, part: Part, crc32c: int) -> None:
        """Note that a part is there."""
        if self._journal is not None:
            with self._writing(), self._lock:
                os.write(self._journal, entry(part.index, crc32c))
            self._worth_keeping = True

    def md5(self) -> str:
        """Of all that is there, base64; reads it."""
        with self._writing():
            return md5_of(self.path)

    def publish(self) -> int:
        """Flush the bytes, give them the target's name, and remove the journal; size in bytes."""
        with self._writing():
            size = os.fstat(self._file).st_size
            os.fsync(self._file)
            self.path.replace(self.target)
            self._close_journal()
            self._journal_path.unlink(missing_ok=True)
            os.close(self._file)
        return size

    def leave(self, *, resumable: bool) -> None:
        """Let go of the file. What a later transfer could not resume is removed."""
        with suppress(OSError):
            self._close_journal()
        with suppress(OSError):
            if not (resumable and self._worth_keeping):
                self.path.unlink(missing_ok=True)
                self._journal_path.unlink(missing_ok=True)
        with suppress(OSError):
            os.close(self._file)

    def _open_locked(self) -> int:
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held the lock before may have renamed or removed what it is on.
                if self.path.exists() and os.path.samestat(os.fstat(file), self.path.stat()):
                    return file
            except BlockingIOError:
                os.close(file)
                raise TransferError(
                    f"{self.target} is being fetched by somebody else. Wait for that, or choose another target."
                ) from None
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _allocate(self, plan: Plan) -> None:
        """See that there is room, so that a full disk shows before anything is fetched.

        The room is not taken: posix_fallocate(3) writes all of it where a file system cannot just note it, on tmpfs a
        fifth of the time of a transfer on loopback.
        """
        size, disk = plan.size or 0, os.fstatvfs(self._file)
        there = os.fstat(self._file).st_blocks * 512
        if size - there > disk.f_bavail * disk.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(self._file, size)

    def _crc32c_on_disk(self, part: Part) -> int | None:
        crc32c, at, stop = 0, part.start, part.stop or 0
        with self._writing():
            while at < stop:
                piece = os.pread(self._file, min(_REREAD_BYTES, stop - at), at)
                if not piece:
                    return None
                crc32c = google_crc32c.extend(crc32c, piece)
                at += len(piece)
        return crc32c

    def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            os.close(journal)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _unwritable(error, self.target) from error


def _unwritable(error: OSError, target: Path) -> LakeError:
    from up42_pipelines.lake.store import explain  # brings fsspec, which a transfer that succeeds does without

    return explain(error, f"Cannot write the download to {target}")
