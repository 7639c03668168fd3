"""CRCs that are put together equal the CRC of what is put together."""

from __future__ import annotations

import base64
import hashlib

import google_crc32c
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.lake.transfer.checksums import as_base64, combine, md5_of, sha256_of


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_combine_equals_the_direct_value(first, second):
    parts = google_crc32c.value(first), google_crc32c.value(second)
    assert combine(*parts, len(second)) == google_crc32c.value(first + second)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_many_parts_in_a_row(parts):
    combined = 0
    for part in parts:
        combined = combine(combined, google_crc32c.value(part), len(part))
    assert combined == google_crc32c.value(b"".join(parts))


@given(st.binary(max_size=50), st.integers(0, 2**50), st.integers(0, 2**50))
def test_appending_zeros_twice_is_appending_them_at_once(head, some, more):
    """Lengths far beyond what can be hashed here, as a file of many GB has."""
    zeros = {count: combine(0, _zeros(count), count) for count in (some, more)}
    crc32c = google_crc32c.value(head)
    apart = combine(combine(crc32c, zeros[some], some), zeros[more], more)
    assert apart == combine(crc32c, combine(zeros[some], zeros[more], more), some + more)


def _zeros(count: int) -> int:
    """CRC-32C of so many zero bytes, by doubling; only checks that combining is associative."""
    crc32c, unit, length = 0, google_crc32c.value(b"\0"), 1
    while count:
        if count & 1:
            crc32c = combine(crc32c, unit, length)
        unit, length, count = combine(unit, unit, length), length * 2, count >> 1
    return crc32c


def test_a_known_value():
    # RFC 3720, B.4: 32 bytes of zeroes have the CRC aa 36 91 8a, sent low byte first.
    assert combine(google_crc32c.value(bytes(20)), google_crc32c.value(bytes(12)), 12) == 0x8A9136AA
    assert base64.b64decode(as_base64(0x8A9136AA)) == b"\x8a\x91\x36\xaa"


def test_ordered_passes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert md5_of(path) == base64.b64encode(hashlib.md5(b"content").digest()).decode()
    assert sha256_of(path) == hashlib.sha256(b"content").hexdigest()
