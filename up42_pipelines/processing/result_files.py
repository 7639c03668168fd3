"""The files of result items on this machine, verified, for people without a lake."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pystac

from up42_pipelines.errors import Up42Error
from up42_pipelines.lake import Received, Wanted, download, fetch, safe_name

_PICTURES = frozenset({"thumbnail", "overview"})


def fetch_files(item: pystac.Item, folder: Path, sign: Callable[[str], str]) -> list[Path]:
    """Fetch all assets of an item; what was cut off before is resumed.

    Args:
        item: as UP42 serves it.
        folder: is made when it is missing. A file there of the same name is replaced.
        sign: gives a fresh signed URL for an asset href.

    Returns:
        The files, in the order of the assets, under the names that UP42 gives them.

    Raises:
        TransferError: one of them did not arrive whole; the others are there.
        LakeError: the folder cannot be written.
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [
        Wanted(name=key, sign=partial(sign, asset.href), target=folder / f".{safe_name(key)}.part")
        for key, asset in item.assets.items()
    ]
    results = dict(fetch(wanted))
    files: dict[str, Path] = {}
    for key in item.assets:
        result = results[key]
        if isinstance(result, Received):
            name = result.filename or safe_name(key)
            files_name = name if name not in files else f"{safe_name(key)}-{name}"
            files[files_name] = result.path.replace(folder / files_name)
    for result in results.values():
        if isinstance(result, Up42Error):
            raise result
    return list(files.values())


def fetch_picture(item: pystac.Item, sign: Callable[[str], str]) -> bytes | None:
    """The picture that UP42 made of an item, PNG or JPEG; None when it has none, or when it does not come.

    Args:
        item: as UP42 serves it.
        sign: gives a fresh signed URL for an asset href.
    """
    hrefs = [asset.href for asset in item.assets.values() if not _PICTURES.isdisjoint(asset.roles or ())]
    if not hrefs:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            return download(partial(sign, hrefs[0]), Path(folder) / "picture").path.read_bytes()
        except Up42Error:  # a picture is for people; one that does not come keeps nobody from the others
            return None
