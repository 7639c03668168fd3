"""Decisions that look random and are the same on every machine and after every restart."""

from __future__ import annotations

import hashlib
import uuid

_NAMESPACE = uuid.UUID("b5f7c6a0-6c1e-5f0e-9d43-3a3f5d2f8c11")


def fraction(*parts: object) -> float:
    """Map the parts to a number in [0, 1), evenly distributed."""
    return integer(*parts) / 2**64


def integer(*parts: object) -> int:
    """Map the parts to a 64-bit unsigned integer."""
    return int.from_bytes(hashlib.blake2b(_joined(parts), digest_size=8).digest(), "big")


def between(low: float, high: float, *parts: object) -> float:
    """Map the parts to a number in [low, high)."""
    return low + (high - low) * fraction(*parts)


def name_uuid(*parts: object) -> str:
    """Map the parts to a UUID string (version 5)."""
    return str(uuid.uuid5(_NAMESPACE, _joined(parts).decode()))


def letters(count: int, *parts: object) -> str:
    """Map the parts to lower-case letters and digits, as UP42 puts before the names of delivered files."""
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
    number = integer(*parts)
    return "".join(alphabet[(number // 36**place) % 36] for place in range(count))


def _joined(parts: tuple[object, ...]) -> bytes:
    return "\x1f".join(map(str, parts)).encode()
