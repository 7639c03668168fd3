"""The end of a landing: the item is judged, its files are published, and it is committed, or withheld."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pystac

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.landing.files import Files
from up42_pipelines.lake.quality import DeliveryRules, Finding, judge, withheld_reasons
from up42_pipelines.lake.stac.catalog import (
    WITHHELD,
    index_collection,
    item_folder,
    mark_of,
    read_item,
    read_withheld,
    withheld_mark_of,
    write_item,
    write_withheld,
)
from up42_pipelines.lake.store import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of an item.

    Attributes:
        item: as it is in the lake now.
        findings: what was found about it.
        reasons: by check, why it is withheld; empty when it is committed.
    """

    item: pystac.Item
    findings: tuple[Finding, ...]
    reasons: Mapping[str, str]


class Place:
    """An item's place in the lake, and what is there before the landing.

    Attributes:
        folder: of the item.
        committed: the item in the catalogue; None when there is none.
        known: the same, or else the withheld item.
    """

    def __init__(self, lake: Lake, collection_id: str, item_id: str) -> None:
        self._lake, self._collection_id, self._item_id = lake, collection_id, item_id
        self.folder = item_folder(collection_id, item_id)
        self.committed = read_item(lake, collection_id, item_id)
        self.known = self.committed or read_withheld(lake, collection_id, item_id)

    @property
    def marks(self) -> list[str]:
        """Names of files that say what becomes of the others."""
        return [mark_of(self.folder[-1]), withheld_mark_of(self.folder[-1])]

    def settle(
        self,
        described: pystac.Item,
        files: Files | None,
        rules: DeliveryRules,
        *,
        announced: Mapping[str, Any] | None,
        ordered: Mapping[str, Any] | None,
    ) -> Settled:
        """Judge an item; publish its files, when there are new ones; commit it, or withhold it.

        Raises:
            LakeError: the lake cannot be written, or somebody removed the item meanwhile.
        """
        document = described.to_dict(transform_hrefs=False)
        findings = judge(document, rules, announced=announced, ordered=ordered)
        reasons = withheld_reasons(findings)
        if files is not None:
            self._publish(files)
        if reasons:
            write_withheld(self._lake, self._collection_id, described, reasons)
        elif files is None and self.committed is not None:
            # An earlier call may have been killed after it committed the item, and before it linked it.
            index_collection(self._lake, self._collection_id, self._item_id)
        else:
            described.properties.pop(WITHHELD, None)
            write_item(self._lake, self._collection_id, described)
        read = read_withheld if reasons else read_item
        item = read(self._lake, self._collection_id, self._item_id)
        if item is None:
            raise LakeError(f"Lake {self._lake.url}: item {self._item_id!r} was removed while it landed; run again.")
        return Settled(item=item, findings=findings, reasons=reasons)

    def _publish(self, files: Files) -> None:
        names = [file.file_name for file in files.landed.values()]
        names += [file.quicklook.file_name for file in files.landed.values() if file.quicklook is not None]
        for name in names:
            self._lake.publish(files.staging / name, *self.folder, name)
