"""The lake as a folder: a handful of verbs over any fsspec filesystem, each atomic for readers."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import check_part

_TEMPORARY = ".part"


class Lake:
    """A folder on any filesystem that fsspec knows: a local path, `file://`, `memory://`, `gs://`, `s3://`.

    Names are given as segments, `lake.write_json(document, "collections", "phr", "collection.json")`; a segment that
    could leave the folder is refused. Readers see an object either whole or not at all: a local file is written under
    a temporary name in the same directory, flushed and renamed; an object store receives one put, which becomes
    visible when it is finalised. A killed local writer can leave a temporary file behind (`.<name>.<token>.part`);
    `list` does not show those.

    Attributes:
        url: as given.
        fs: the fsspec filesystem.
        root: the folder, as `fs` spells it.
        local: whether the lake is on this machine's file system.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        try:
            fs, root = fsspec.core.url_to_fs(url, **(storage_options or {}))
        except Exception as error:  # whatever a backend's constructor raises
            raise LakeError(
                f"Lake {url}: {error}. Check the URL, the credentials, and that its fsspec backend is installed."
            ) from error
        self.fs = fs
        self.root: str = root.rstrip("/")
        self.local = isinstance(fs, LocalFileSystem)

    def __repr__(self) -> str:
        return f"Lake({self.url!r})"

    def path(self, *parts: str) -> str:
        """Where an object is, as the filesystem spells it.

        Raises:
            LakeError: a part is no plain name: empty, `..`, with a separator or a control character.
        """
        return "/".join([self.root, *map(check_part, parts)])

    def href(self, *parts: str) -> str:
        """What a reader outside this package opens: an absolute path for a local lake, else a full URL."""
        path = self.path(*parts)
        return path if self.local else str(self.fs.unstrip_protocol(path))

    def exists(self, *parts: str) -> bool:
        """Whether the object is there now; a cached listing is not believed."""
        path = self.path(*parts)
        with self._explained("look for", path):
            self.fs.invalidate_cache()
            return bool(self.fs.exists(path))

    def size(self, *parts: str) -> int | None:
        """Size of the object in bytes, or None when it is not there."""
        path = self.path(*parts)
        with self._explained("look for", path):
            self.fs.invalidate_cache()
            try:
                return int(self.fs.size(path))
            except FileNotFoundError:
                return None

    def list(self, *parts: str) -> list[str]:
        """Names directly below a folder, sorted, without temporary ones; empty when the folder is not there.

        Object stores list strongly consistently (GCS, S3 since 2020), and cached listings are dropped first, so that
        what was committed before the call is in the answer.
        """
        path = self.path(*parts)
        with self._explained("list", path):
            self.fs.invalidate_cache()
            try:
                entries = self.fs.ls(path, detail=False)
            except FileNotFoundError:
                return []
        names = {entry.rstrip("/").rpartition("/")[2] for entry in entries if entry.rstrip("/") != path}
        return sorted(name for name in names if name and not (name.startswith(".") and name.endswith(_TEMPORARY)))

    def read_bytes(self, *parts: str) -> bytes:
        """The object's content.

        Raises:
            LakeError: it is not there (then `__cause__` is a FileNotFoundError) or cannot be read.
        """
        path = self.path(*parts)
        with self._explained("read", path):
            self.fs.invalidate_cache()
            return bytes(self.fs.cat_file(path))

    def read_json(self, *parts: str) -> Any:
        """The object's content, decoded.

        Raises:
            LakeError: it is not there, cannot be read or is no JSON.
        """
        content = self.read_bytes(*parts)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise LakeError(
                f"Lake {self.url}: {self.path(*parts)} is no JSON ({error}). Remove it, and land its items again."
            ) from error

    def write_bytes(self, content: bytes, *parts: str) -> None:
        """Write an object, replacing what is there; readers see the old or the new content, never a mixture."""
        path = self.path(*parts)
        with self._explained("write", path):
            if self.local:
                _write_local(Path(path), content)
            else:
                self.fs.pipe_file(path, content)

    def write_json(self, document: Any, *parts: str) -> None:
        """Write a JSON object: UTF-8, two spaces, the document's own order of keys.

        Raises:
            LakeError: it cannot be written.
            ValueError: the document holds NaN or an infinity, which JSON (RFC 8259, section 6) does not have.
        """
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        self.write_bytes(f"{text}\n".encode(), *parts)

    def publish(self, local_file: Path, *parts: str) -> None:
        """Move a finished local file into the lake, replacing what is there; the file is gone afterwards.

        Atomic in a local lake when the file comes from `staging`, as a rename; a file from another file system is
        copied beside its target first. Object stores get one upload.
        """
        path = self.path(*parts)
        with self._explained("write", path):
            if self.local:
                _publish_local(local_file, Path(path))
            else:
                self.fs.put_file(str(local_file), path)
                local_file.unlink()

    def remove(self, *parts: str) -> None:
        """Remove an object; fine when it is not there."""
        path = self.path(*parts)
        with self._explained("remove", path), suppress(FileNotFoundError):
            self.fs.rm_file(path)

    @contextmanager
    def staging(self, *parts: str) -> Iterator[Path]:
        """A local directory for files that will be published into the folder `parts`; removed at the end, always.

        In a local lake it lies inside that folder, so that `publish` is a rename and a full disk shows before.
        """
        if not self.local:
            with tempfile.TemporaryDirectory(prefix="up42-lake-") as scratch:
                yield Path(scratch)
            return
        folder = Path(self.path(*parts))
        directory = folder / f".staging.{secrets.token_hex(8)}{_TEMPORARY}"
        with self._explained("stage files in", str(folder)):
            directory.mkdir(parents=True)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            _remove_if_empty(folder)

    def check_writable(self) -> None:
        """Write a small object and remove it again.

        Raises:
            LakeError: the lake does not take it: the folder is read-only or full, or the bucket is not ours.
        """
        name = f".writable.{secrets.token_hex(8)}{_TEMPORARY}"
        self.write_bytes(b"up42-pipelines was here\n", name)
        self.remove(name)

    @contextmanager
    def _explained(self, verb: str, path: str) -> Iterator[None]:
        """Turn what the file system raises into a LakeError that names the lake, the object and the next step."""
        try:
            yield
        except OSError as error:
            raise explain(error, f"Lake {self.url}: cannot {verb} {path}") from error
        except Exception as error:  # each backend has its own: google.auth, aiohttp, botocore
            what = f"{type(error).__name__}: {str(error).rstrip('.')}"
            raise LakeError(
                f"Lake {self.url}: cannot {verb} {path}: {what}. Check credentials and network, then run again."
            ) from error


def explain(error: OSError, what: str) -> LakeError:
    """The LakeError for an operating-system error, with what a person can do about it."""
    advice = {
        errno.ENOSPC: "Free disk space or choose another lake, then run again.",
        errno.EDQUOT: "Raise the disk quota or choose another lake, then run again.",
        errno.EROFS: "The file system is read-only: choose a lake that can be written.",
        errno.EACCES: "Give this process's user permission on the lake.",
        errno.EPERM: "Give this process's user permission on the lake.",
        errno.ENOTDIR: "A file is where the lake needs a folder: move it away.",
        errno.EEXIST: "A file is where the lake needs a folder: move it away.",
        errno.EISDIR: "A folder is where the lake needs a file: move it away.",
        errno.ENOENT: "Check the lake's URL, and whether somebody removed the object.",
    }.get(error.errno or 0, "Check that the lake can be reached and written, then run again.")
    return LakeError(f"{what}: {error.strerror or str(error) or type(error).__name__}. {advice}")


def _write_local(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _publish_local(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(source)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = _beside(target)
        try:
            shutil.copyfile(source, temporary)
            _sync(temporary)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        source.unlink()
    _sync(target.parent)


def _beside(target: Path) -> Path:
    """A temporary name in the same directory, because a rename is atomic only within one file system (rename(2))."""
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}{_TEMPORARY}")


def _sync(path: Path) -> None:
    """Flush a file, or a directory's entries (without it, a rename can be undone by a power cut: fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty, or gone already: both are fine
        folder.rmdir()
