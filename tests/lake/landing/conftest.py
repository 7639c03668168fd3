"""Landing items from a real server."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from up42_pipelines.lake import LandedItem, LandingOptions, land_item
from up42_pipelines.lake.transfer.patience import Patience


@pytest.fixture
def land(rasters, vectors, files) -> Callable[..., LandedItem]:
    """`land(lake, item, rules=…, **arguments of land_item)`; the collection is `phr`."""

    def run(lake, item, **given: Any) -> LandedItem:
        rules = {name: given.pop(name) for name in ("rules", "unpack", "warp_to") if name in given}
        options = LandingOptions(patience=Patience(first_pause_s=0), **rules)
        defaults = {
            "collection_id": "phr",
            "sign": files.sign,
            "rasters": rasters,
            "vectors": vectors,
            "options": options,
        }
        return land_item(lake, item, **{**defaults, **given})

    return run


@pytest.fixture(scope="session")
def zipped() -> Callable[[dict[str, bytes] | Path], bytes]:
    """A zip of named contents, or of a folder."""

    def pack(members: dict[str, bytes] | Path) -> bytes:
        if isinstance(members, Path):
            found = sorted(path for path in members.rglob("*") if path.is_file())
            members = {path.relative_to(members.parent).as_posix(): path.read_bytes() for path in found}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return packed.getvalue()

    return pack
