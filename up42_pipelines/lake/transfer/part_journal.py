"""Which parts of an object are on disk: a plan, then a line per finished part. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from up42_pipelines.lake.transfer.plan import Plan

_VERSION = 1
_ENTRY = re.compile(r"(\d{1,9}) ([0-9a-f]{8})")


def opening(plan: Plan) -> bytes:
    """The first line of a journal."""
    return f"{json.dumps({'version': _VERSION, **asdict(plan)})}\n".encode()


def entry(index: int, crc32c: int) -> bytes:
    """The line of a finished part."""
    return f"{index} {crc32c:08x}\n".encode()


def read_journal(content: bytes) -> tuple[Plan, Mapping[int, int]] | None:
    """The plan, and by index the CRC-32C that each finished part had; None when it is no journal of ours.

    A kill or a full disk can tear a line: what is not whole counts as not there. Nothing here is proof: the bytes on
    disk have to agree.
    """
    first, _, rest = content.partition(b"\n")
    try:
        fields = json.loads(first)
        if fields.pop("version") != _VERSION:
            return None
        plan = Plan(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not (plan.ranged and isinstance(plan.size, int) and isinstance(plan.part_bytes, int) and plan.part_bytes > 0):
        return None
    lines = rest[: rest.rfind(b"\n") + 1].decode("ascii", "replace").splitlines()
    entries = (match for line in lines if (match := _ENTRY.fullmatch(line)))
    return plan, {int(index): int(crc32c, 16) for index, crc32c in (match.groups() for match in entries)}
