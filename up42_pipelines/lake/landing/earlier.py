"""What an earlier landing of the same item left in the lake, and which of it still holds. Reads sizes only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pystac

from up42_pipelines.lake.content import Kind, kind_of
from up42_pipelines.lake.stac.assets import QUICKLOOK_OF, SOURCE_HREF
from up42_pipelines.lake.stac.item import LEFT_OUT
from up42_pipelines.lake.store import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What need not be fetched again.

    Attributes:
        assets: documents of the lake's assets that still hold, by their key in the lake; hrefs are `./name`.
        left_out: reason by source key, of what is not in the lake on purpose.
        sources: keys of the source item that these assets come from.
        in_use: SHA-256 by plain name of each whole file that the item in the lake refers to. Other bytes get other
            names, so that the item stays what it was until the new one is committed.
    """

    assets: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    in_use: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_names(self) -> set[str]:
        """Plain names of the files of the assets that hold."""
        return {asset["href"].removeprefix("./") for asset in self.assets.values()}


def still_holds(lake: Lake, folder: tuple[str, ...], known: pystac.Item | None, source: pystac.Item) -> Earlier:
    """Find the assets that came from the same source, and whose files have the size they had then.

    Paths are compared, not hosts: UP42 names an asset by a UUID in its path, and a sandbox that was started again
    serves the same assets on another port. Several assets come from one archive; they hold together or not at all.

    Args:
        lake: where.
        folder: of the item.
        known: the item as it was committed or withheld; None when it never landed.
        source: the item as it is delivered now.
    """
    if known is None:
        return Earlier()
    documents = {key: asset.to_dict() for key, asset in known.assets.items()}
    for document in documents.values():
        document["href"] = "./" + document["href"].rpartition("/")[2]
    sizes = {key: lake.size(*folder, document["href"][2:]) for key, document in documents.items()}
    whole = {key for key, size in sizes.items() if size is not None and size == documents[key].get("file:size")}
    held, sources = set(), set()
    for key, asset in source.assets.items():
        path = urlsplit(asset.href).path
        made = {name for name, document in documents.items() if _path_of(document) == path}
        # What comes out of an archive has keys of its own; anything else is the asset of its key, or of none.
        if made and made <= whole and (key in made or kind_of(asset) is Kind.ARCHIVE):
            held |= made
            sources.add(key)
    held |= {key for key, document in documents.items() if document.get(QUICKLOOK_OF) in held and key in whole}
    reasons = known.properties.get(LEFT_OUT, {})
    left_out = {key: reason for key, reason in reasons.items() if key in source.assets}
    return Earlier(
        assets={key: document for key, document in documents.items() if key in held},
        left_out=left_out,
        sources=frozenset(sources),
        in_use={documents[key]["href"][2:]: str(documents[key].get("file:checksum"))[4:] for key in whole},
    )


def _path_of(document: Mapping[str, Any]) -> str | None:
    recorded = document.get(SOURCE_HREF)
    return urlsplit(recorded).path if isinstance(recorded, str) else None
