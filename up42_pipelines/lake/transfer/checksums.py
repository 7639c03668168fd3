"""CRC-32C of parts that arrive in any order, and the ordered passes for what cannot be combined."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

# Castagnoli's polynomial, bits reflected (RFC 3720, section 12.1): bit 31 is the coefficient of x^0.
_POLYNOMIAL = 0x82F63B78
_ONE = 1 << 31


def combine(first: int, second: int, second_bytes: int) -> int:
    """CRC-32C of two pieces in a row, from that of each.

    Appending n bytes multiplies a CRC by x^(8n) modulo the polynomial, over GF(2); the initial and final inversions
    cancel out. The same as `crc32_combine` of zlib, which documents why.

    Args:
        first: of the piece that comes first.
        second: of the piece after it.
        second_bytes: length of the piece after it.
    """
    return _multiply(_shift(second_bytes), first) ^ second


def as_base64(crc32c: int) -> str:
    """The big-endian value in base64, as Google Cloud Storage writes it in `x-goog-hash`."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def md5_of(path: Path) -> str:
    """MD5 of a file, base64, as in `x-goog-hash`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)  # nearly all parts of all files have the same length
def _shift(count: int) -> int:
    """x^(8 count) modulo the polynomial, by squaring."""
    power, factor = _ONE, _ONE >> 8
    while count:
        if count & 1:
            power = _multiply(power, factor)
        factor = _multiply(factor, factor)
        count >>= 1
    return power


def _multiply(one: int, other: int) -> int:
    """Product of two polynomials over GF(2), modulo ours."""
    product = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product
