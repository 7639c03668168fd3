"""What the first answer says about an object, and the parts it is fetched in. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.transfer.patience import retry_after_s

# 256 MB on 16 connections of 20 MB/s and 40 ms: 1.29 s in parts of 4 MB, 1.20 s of 8 MB, 1.14 s of 16 MB; but with
# longer parts a delivery ends with idle connections, and a killed transfer fetches more again (`benchmarks/`).
PART_BYTES = 8 << 20

_REFUSED_SIGNATURE = frozenset({400, 401, 403})


class Fault(Exception):
    """An answer that is of no use; made of words that never hold a signed URL.

    Attributes:
        reason: what is wrong with it.
        retry_after_s: seconds that the server asks to wait.
        final: trying again is pointless.
        changed: it is not the object that was planned.
        unranged: the server cannot be asked for ranges.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after_s: float | None = None,
        final: bool = False,
        changed: bool = False,
        unranged: bool = False,
    ) -> None:
        self.reason, self.retry_after_s, self.final = reason, retry_after_s, final
        self.changed, self.unranged = changed, unranged
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of an object.

    Attributes:
        index: 0 for the first.
        start: its first byte.
        stop: the byte after its last; None when the server did not say how long the object is.
    """

    index: int
    start: int
    stop: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An object as its first answer describes it.

    Attributes:
        size: bytes; None when only the end of the body tells.
        etag: strong ETag; None when it has none. A weak one (`W/"..."`) does not promise identical bytes.
        generation: of Google Cloud Storage.
        crc32c: base64, as in `x-goog-hash`; None when it is not announced.
        md5: base64, as in `x-goog-hash`; None when it is not announced.
        content_type: media type as the server says, without parameters; information only.
        filename: from Content-Disposition, made safe; information only.
        ranged: whether ranges of it can be fetched and are certain to be of the same object.
        part_bytes: length of each part but the last.
    """

    size: int | None
    etag: str | None
    generation: str | None
    crc32c: str | None
    md5: str | None
    content_type: str | None
    filename: str | None
    ranged: bool
    part_bytes: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """In order, without gaps; a single one when the object can only be read from start to end."""
        if not self.ranged or not self.size:
            return (Part(index=0, start=0, stop=self.size),)
        starts = range(0, self.size, self.part_bytes)
        return tuple(
            Part(index=index, start=start, stop=min(start + self.part_bytes, self.size))
            for index, start in enumerate(starts)
        )


def read_plan(status: int, headers: Mapping[str, str], part_bytes: int) -> Plan:
    """Read the answer to a request for the first `part_bytes` of an object, or for all of it.

    Args:
        status: HTTP status code.
        headers: by lower-case name.
        part_bytes: length of the parts.

    Raises:
        Fault: it is not the beginning of the object.
    """
    if status not in {200, 206}:
        raise _refusal(status, headers)
    length = _number(headers.get("content-length"))
    etag = _strong_etag(headers)
    if status == 206:
        start, stop, size = _content_range(headers.get("content-range", ""))
        if start == 0 and size is None:
            raise Fault("the server does not say how long the object is", unranged=True)
        if size is None or start != 0 or stop != min(part_bytes, size) or length not in {None, stop}:
            raise Fault("the server answered with another range than the wanted one")
        if etag is None and size > part_bytes:
            raise Fault("the object has no strong ETag, so its ranges may be of different objects", unranged=True)
    else:
        size = length
    announced = _announced(headers)
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    if size is None and not chunked and not announced:
        raise Fault("the answer has neither a length nor a checksum to verify it by")
    return Plan(
        size=size,
        etag=etag,
        generation=headers.get("x-goog-generation"),
        crc32c=announced.get("crc32c"),
        md5=announced.get("md5"),
        content_type=headers.get("content-type", "").partition(";")[0].strip().lower() or None,
        filename=_filename(headers.get("content-disposition")),
        ranged=status == 206 and etag is not None,
        part_bytes=part_bytes,
    )


def check_continuation(plan: Plan, status: int, headers: Mapping[str, str], start: int, stop: int) -> None:
    """Make sure that an answer is bytes `start` to `stop` of the planned object.

    Raises:
        Fault: it is not.
    """
    if status in {200, 412, 416}:
        raise Fault(f"the server answered {status} to a range: the object changed", changed=True)
    if status != 206:
        raise _refusal(status, headers)
    first, end, size = _content_range(headers.get("content-range", ""))
    generation = headers.get("x-goog-generation", plan.generation)
    # An intermediary may ignore If-Match; without this comparison nothing but a checksum would show the splice.
    if headers.get("etag") != plan.etag or size not in {None, plan.size} or generation != plan.generation:
        raise Fault("the server continued another object", changed=True)
    if (first, end) != (start, stop) or _number(headers.get("content-length")) not in {None, stop - start}:
        raise Fault("the server answered with another range than the wanted one")


def _refusal(status: int, headers: Mapping[str, str]) -> Fault:
    if status in _REFUSED_SIGNATURE:
        return Fault(f"the server answered {status} to a signed URL")
    if status in {412, 416}:
        return Fault(f"the server answered {status} to the first request", unranged=True)
    if status in {408, 429} or status >= 500:
        return Fault(f"the server answered {status}", retry_after_s=retry_after_s(headers.get("retry-after")))
    return Fault(f"the server answered {status}", final=True)


def _announced(headers: Mapping[str, str]) -> dict[str, str]:
    """Checksums of `x-goog-hash`, by name; none when the store decompressed the object on the way.

    They describe the stored bytes (https://cloud.google.com/storage/docs/transcoding).
    """
    stored_as = headers.get("x-goog-stored-content-encoding", "identity")
    if stored_as != headers.get("content-encoding", "identity"):
        return {}
    pairs = (part.strip().partition("=") for part in headers.get("x-goog-hash", "").split(","))
    return {name: value for name, _, value in pairs if value}


def _strong_etag(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None


def _content_range(value: str) -> tuple[int | None, int | None, int | None]:
    """First byte, the byte after the last, and the total of a Content-Range; None for what it does not say."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", value.strip(), re.ASCII)
    if match is None:
        return None, None, None
    return int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])


def _number(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,18}", value, re.ASCII) else None


def _filename(disposition: str | None) -> str | None:
    if not disposition:
        return None
    message = Message()
    message["Content-Disposition"] = disposition
    name = message.get_filename()
    return safe_name(name.replace("\\", "/").rpartition("/")[2]) if name else None
