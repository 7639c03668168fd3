"""What killed uploads left in a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from up42_pipelines.lake.local_files import TEMPORARY
from up42_pipelines.lake.uploads.upload import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class Debris:
    """A temporary object, or an S3 upload that was neither completed nor aborted.

    Attributes:
        path: of the temporary object, or of the object that an upload was to become.
        age_s: seconds since it was written or begun.
        upload_id: of a multipart upload of S3; None for an object.
    """

    path: str
    age_s: float
    upload_id: str | None = None


def debris(fs: Any, root: str, older_than_s: float, *, now: datetime | None = None) -> list[Debris]:
    """Temporary objects below a folder, and multipart uploads into it, that are older than an age.

    A younger one may be of an upload that is under way. Buckets can do the same by themselves, with a lifecycle rule
    that aborts incomplete multipart uploads; temporary objects are named `.<name>.<token>.part`, or
    `.<name>.<token>.<n>.part` for the parts of one.

    Args:
        fs: an fsspec filesystem.
        root: the folder, as `fs` spells it.
        older_than_s: seconds; a day is plenty.
        now: the present when None.
    """
    fs.invalidate_cache()
    now = now or datetime.now(UTC)
    found = [
        *_temporary_objects(fs, root, now),
        *(_multipart_uploads(fs, root, now) if "s3" in backends(fs) else ()),
    ]
    return sorted((one for one in found if one.age_s >= older_than_s), key=lambda one: (one.path, one.upload_id or ""))


def remove_debris(fs: Any, found: Iterable[Debris]) -> None:
    """Remove what `debris` found; fine when it is gone already."""
    for one in found:
        with suppress(FileNotFoundError):
            if one.upload_id is None:
                fs.rm_file(one.path)
            else:
                bucket, key, _ = fs.split_path(one.path)
                fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=one.upload_id)
    fs.invalidate_cache()


def _temporary_objects(fs: Any, root: str, now: datetime) -> Iterator[Debris]:
    for path, info in fs.find(root, detail=True).items():
        name = path.rpartition("/")[2]
        if name.startswith(".") and name.endswith(TEMPORARY):
            yield Debris(path=path, age_s=(now - _written(info)).total_seconds())


def _multipart_uploads(fs: Any, root: str, now: datetime) -> Iterator[Debris]:
    bucket, key, _ = fs.split_path(root)
    prefix = f"{key}/" if key else ""
    page: dict[str, str] = {}
    while True:
        answer = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **page)
        for upload in answer.get("Uploads", ()):
            age_s = (now - upload["Initiated"]).total_seconds()
            yield Debris(path=f"{bucket}/{upload['Key']}", age_s=age_s, upload_id=upload["UploadId"])
        if not answer.get("IsTruncated"):
            return
        page = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def _written(info: dict[str, Any]) -> datetime:
    """When an object was written last, as its backend says it: S3, Google Cloud Storage, local and memory."""
    moment: str | float | datetime = next(
        info[name] for name in ("LastModified", "updated", "mtime", "created") if name in info
    )
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
