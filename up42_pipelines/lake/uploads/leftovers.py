"""What killed uploads left in S3; elsewhere that is temporary objects, `.<name>.<token>.part`, which are listed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from up42_pipelines.lake.uploads.upload import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedUpload:
    """A multipart upload that was neither completed nor aborted: its parts cost money, and no listing shows them.

    Attributes:
        path: of the object that it was to become.
        begun: when.
        upload_id: as S3 names it.
    """

    path: str
    begun: datetime
    upload_id: str


def unfinished_uploads(fs: Any, root: str) -> list[UnfinishedUpload]:
    """Multipart uploads into a folder of S3; none elsewhere.

    A young one may be under way. Buckets can do the same by themselves, with a lifecycle rule that aborts incomplete
    multipart uploads.

    Args:
        fs: an fsspec filesystem.
        root: the folder, as `fs` spells it.
    """
    if "s3" not in backends(fs):
        return []
    bucket, key, _ = fs.split_path(root)
    found: list[UnfinishedUpload] = []
    page: dict[str, str] = {}
    while True:
        answer = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/" if key else "", **page)
        found += [
            UnfinishedUpload(path=f"{bucket}/{upload['Key']}", begun=upload["Initiated"], upload_id=upload["UploadId"])
            for upload in answer.get("Uploads", ())
        ]
        if not answer.get("IsTruncated"):
            return sorted(found, key=lambda one: (one.path, one.upload_id))
        page = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def abort_uploads(fs: Any, uploads: Iterable[UnfinishedUpload]) -> None:
    """Remove the parts of uploads; fine when they are gone already."""
    for one in uploads:
        bucket, key, _ = fs.split_path(one.path)
        with suppress(FileNotFoundError):
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=one.upload_id)
