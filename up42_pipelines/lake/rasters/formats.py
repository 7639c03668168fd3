"""What a file is, by its first bytes. Light: no GDAL here."""

from __future__ import annotations

from pathlib import Path

from up42_pipelines.errors import InvalidDelivery

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF 6.0, section 2; BigTIFF
_NITF_SIGNATURES = (b"NITF02.1", b"NITF02.0", b"NSIF01.0")  # MIL-STD-2500C, file profile name and version
_JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"  # ISO/IEC 15444-1, I.5.1


def raster_format(path: Path) -> str | None:
    """The one GDAL driver that may open a file, from its first bytes; None when it is none of TIFF, NITF, JPEG 2000."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(_TIFF_SIGNATURES):
        return "GTiff"
    if head.startswith(_NITF_SIGNATURES):
        return "NITF"
    return "JP2OpenJPEG" if head == _JP2_SIGNATURE else None


def check_jp2_is_whole(path: Path) -> None:
    """Refuse a JPEG 2000 file that ends early: OpenJPEG decodes what is left of it, and reports success.

    Walks the boxes (ISO/IEC 15444-1, I.4): a box of length 0 reaches to the end of the file, and a codestream ends
    with the marker EOC, FF D9.
    """
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:
                length = size - at
            if length < 8 or at + length > size:
                raise InvalidDelivery(f"{path.name} is cut off: a box at byte {at} reaches beyond byte {size}.")
            at += length
            if kind == b"jp2c":
                file.seek(at - 2)
                if file.read(2) != b"\xff\xd9":
                    raise InvalidDelivery(f"{path.name} is cut off: its codestream has no end marker.")
