"""Notes beside downloads that have arrived whole, so that a landing that was killed later fetches nothing again."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google_crc32c

from up42_pipelines.lake.transfer.checksums import as_base64
from up42_pipelines.lake.transfer.partial import Received

_CHUNK = 1 << 20


def remember(received: Received, href: str) -> None:
    """Note beside a download what is known about it, and where it came from."""
    facts = {**asdict(received), "path": urlsplit(href).path}
    with suppress(OSError):  # only a help; a full disk shows elsewhere
        # Not flushed: what a power cut tears is no note, and what a note says is compared with the bytes.
        _note_of(received.path).write_text(json.dumps(facts))


def recall(target: Path, href: str) -> Received | None:
    """The download at `target`, when an earlier landing noted it, from the same address, and its bytes still agree.

    Paths are compared, not hosts, as `earlier.still_holds` does.
    """
    try:
        facts: dict[str, Any] = json.loads(_note_of(target).read_bytes())
        if facts.pop("path") != urlsplit(href).path:
            return None
        received = Received(path=target, **facts)
        whole = target.stat().st_size == received.size and _crc32c_of(target) == received.crc32c
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return received if whole else None


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.received")


def _crc32c_of(path: Path) -> str:
    crc32c = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc32c = google_crc32c.extend(crc32c, chunk)
    return as_base64(crc32c)
