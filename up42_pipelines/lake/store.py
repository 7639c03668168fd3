"""The lake as a folder: a handful of verbs over any fsspec filesystem, each atomic for readers."""

from __future__ import annotations

import errno
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.local_files import (
    TEMPORARY,
    create_file,
    publish_file,
    write_file,
    write_files,
)
from up42_pipelines.lake.names import check_part
from up42_pipelines.lake.uploads import MEMORY, Upload, begin_upload, upload_file

# Backends whose `pipe_file(mode="create")` asks the store itself to refuse: `ifGenerationMatch=0` of Google Cloud
# Storage, `If-None-Match: *` of S3. Others take the argument and drop it, or look first and write then.
_CREATE_ONLY_STORES = {"gs", "s3"}


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
        self._backends = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)

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
        with self.explained("look for", path):
            self.fs.invalidate_cache()
            return bool(self.fs.exists(path))

    def size(self, *parts: str) -> int | None:
        """Size of the object in bytes, or None when it is not there."""
        path = self.path(*parts)
        with self.explained("look for", path):
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
        with self.explained("list", path):
            self.fs.invalidate_cache()
            try:
                with self._undisturbed():
                    entries = self.fs.ls(path, detail=False)
            except FileNotFoundError:
                return []
        names = {entry.rstrip("/").rpartition("/")[2] for entry in entries if entry.rstrip("/") != path}
        return sorted(name for name in names if name and not (name.startswith(".") and name.endswith(TEMPORARY)))

    def read_bytes(self, *parts: str) -> bytes:
        """The object's content.

        Raises:
            LakeError: it is not there (then `__cause__` is a FileNotFoundError) or cannot be read.
        """
        path = self.path(*parts)
        with self.explained("read", path):
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
        with self.explained("write", path):
            if self.local:
                write_file(Path(path), content)
            else:
                self.fs.pipe_file(path, content)

    def write_json(self, document: Any, *parts: str) -> None:
        """Write a JSON object: UTF-8, two spaces, the document's own order of keys.

        Raises:
            LakeError: it cannot be written.
            ValueError: the document holds NaN or an infinity, which JSON (RFC 8259, section 6) does not have.
        """
        self.write_bytes(_encoded(document), *parts)

    def write_all_json(self, documents: Mapping[tuple[str, ...], Any]) -> None:
        """Write many JSON objects by their names, each as `write_json` does, in less time than one by one.

        Raises:
            LakeError: some cannot be written; others may have been.
            ValueError: as `write_json`; then none is written.
        """
        contents = {self.path(*parts): _encoded(document) for parts, document in documents.items()}
        with self.explained("write objects in", self.root):
            if self.local:
                write_files({Path(path): content for path, content in contents.items()})
            elif contents:
                self.fs.pipe(contents)

    def create(self, content: bytes, *parts: str) -> bool:
        """Write an object that is not there yet, and never replace one; readers see it whole or not at all.

        Of any number of processes that create the same name, one gets True. False can mean that this very call wrote
        the object: a client library that lost the answer asks again, and is told that the object exists. Who has to
        know puts something into the content that only this call can have written, and reads it back.

        Returns:
            Whether the object was written; False when the name was taken.

        Raises:
            LakeError: the object cannot be written, and then may be there or not; or the lake is on a backend that
                cannot refuse to replace.
        """
        path = self.path(*parts)
        with self.explained("create", path):
            if self.local:
                return create_file(Path(path), content)
            if "memory" in self._backends:
                with self._undisturbed():
                    if self.fs.exists(path):
                        return False
                    self.fs.pipe_file(path, content)
                return True
            if self._backends & _CREATE_ONLY_STORES:
                return _create_remote(self.fs, path, content)
        raise LakeError(
            f"Lake {self.url}: cannot create {path}: of this backend it is not known whether it refuses when a name is "
            "taken. Choose a lake in a local folder, or on gs:// or s3://."
        )

    def create_json(self, document: Any, *parts: str) -> bool:
        """Write a JSON object that is not there yet, in the form of `write_json`; see `create`.

        Raises:
            LakeError: as `create`.
            ValueError: as `write_json`.
        """
        return self.create(_encoded(document), *parts)

    def publish(self, local_file: Path, *parts: str) -> None:
        """Move a finished local file into the lake, replacing what is there; the file is gone afterwards.

        Atomic in a local lake: a rename, or, from another file system, a copy beside the target and then a rename.
        Object stores get one upload, a large file in parallel parts; it has its name when the store holds the bytes of
        the file.
        """
        path = self.path(*parts)
        with self.explained("write", path):
            if self.local:
                publish_file(local_file, Path(path))
            else:
                upload_file(self.fs, local_file, path)
                local_file.unlink()

    def upload(self, *parts: str) -> Upload:
        """Begin an object that is written in parts, and has its name when all of them are there and verified.

        Raises:
            LakeError: the store does not take it. What the parts meet later is raised as their backend has it; see
                `explained`.
        """
        path = self.path(*parts)
        with self.explained("write", path):
            return begin_upload(self.fs, path)

    def remove(self, *parts: str) -> None:
        """Remove an object; fine when it is not there."""
        path = self.path(*parts)
        with self.explained("remove", path), suppress(FileNotFoundError), self._undisturbed():
            self.fs.rm_file(path)

    def check_writable(self) -> None:
        """Write a small object and remove it again.

        Raises:
            LakeError: the lake does not take it: the folder is read-only or full, or the bucket is not ours.
        """
        name = f".writable.{secrets.token_hex(8)}{TEMPORARY}"
        self.write_bytes(b"up42-pipelines was here\n", name)
        self.remove(name)

    def check_create_only(self) -> None:
        """Find out whether the lake keeps the promise of `create`, with a small object that is removed again.

        Raises:
            LakeError: it replaces what is there, as some S3-compatible stores and emulators silently do; or it cannot
                be written.
        """
        name = f".create-only.{secrets.token_hex(8)}{TEMPORARY}"
        self.create(b"first\n", name)
        replaced = self.create(b"second\n", name)
        self.remove(name)
        if replaced:
            raise LakeError(
                f"Lake {self.url}: the store was asked to create an object that exists, and replaced it. Two processes "
                "could both believe that they were first, and buy the same thing twice, so nothing is bought with this "
                "lake. Choose a local folder or a store that honours conditional writes: Google Cloud Storage, AWS S3, "
                "or an S3-compatible store that knows `If-None-Match: *`."
            )

    @contextmanager
    def explained(self, verb: str, path: str) -> Iterator[None]:
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

    def _undisturbed(self) -> AbstractContextManager[Any]:
        return MEMORY if "memory" in self._backends else nullcontext()


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
        errno.EOPNOTSUPP: "Choose a lake on a file system with hard links, or on gs:// or s3://.",
        errno.ENOENT: "Check the lake's URL, and whether somebody removed the object.",
    }.get(error.errno or 0, "Check that the lake can be reached and written, then run again.")
    return LakeError(f"{what}: {error.strerror or str(error) or type(error).__name__}. {advice}")


def _encoded(document: Any) -> bytes:
    """JSON with two spaces. `json` indents in Python, ten times slower; but it is what knows NaN, and what is JSON."""
    from pydantic_core import to_json

    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    return to_json(document, indent=2) + b"\n"


def _create_remote(fs: Any, path: str, content: bytes, conflicts: int = 5) -> bool:
    try:
        fs.pipe_file(path, content, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        answer = getattr(error.__cause__, "response", None) or {}
        code = answer.get("Error", {}).get("Code")
        # s3fs raises FileExistsError only where the answer names the failed condition, as AWS does and MinIO does not.
        if code == "PreconditionFailed":
            return False
        # S3 does not decide while another request changes the same object, and wants to be asked again.
        if code == "ConditionalRequestConflict" and conflicts:
            return _create_remote(fs, path, content, conflicts - 1)
        raise
    return True
