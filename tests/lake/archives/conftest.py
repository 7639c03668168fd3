"""Archives made by the standard library and, where it refuses to make them, by hand."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


def tar_of(
    *entries: tuple[str | tarfile.TarInfo, bytes], mode: str = "w", tar_format: int = tarfile.PAX_FORMAT
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tar_format) as archive:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def raw_zip(*entries: dict) -> bytes:
    """A zip from what each header is to say: name, content, and any of at, flags, method, crc, size, packed, mode,
    volume; what begins with `local_` is said in the local header alone."""
    body, directory, count = b"", b"", 0
    for entry in entries:
        name, content = entry["name"], entry.get("content", b"")
        packed = entry.get("packed", content)
        told = {
            "name": name,
            "flags": 0,
            "method": 0,
            "crc": zlib.crc32(content),
            "packed_size": len(packed),
            "size": len(content),
        }
        told |= {key: value for key, value in entry.items() if key in told}
        local = told | {key[6:]: value for key, value in entry.items() if key.startswith("local_")}
        at = entry.get("at", len(body))
        if "at" not in entry:
            body += struct.pack(
                "<4s5H3I2H", b"PK\3\4", 20, local["flags"], local["method"], 0, 33,
                local["crc"], local["packed_size"], local["size"], len(local["name"]), 0,
            ) + local["name"] + packed  # fmt: skip
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 0x314, 20, told["flags"], told["method"], 0, 33,
            told["crc"], told["packed_size"], told["size"], len(name), 0, 0, entry.get("volume", 0), 0,
            entry.get("mode", 0o100644) << 16, at,
        ) + name  # fmt: skip
        count += 1
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """`make.zip`, `make.tar`, `make.raw_zip`: bytes of archives."""
    return SimpleNamespace(zip=zip_of, tar=tar_of, raw_zip=raw_zip)


@pytest.fixture
def store(tmp_path: Path) -> Callable[[bytes], Path]:
    """Put bytes into a file."""

    def put(content: bytes, name: str = "delivery") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return put
