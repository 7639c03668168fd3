"""What flows between assets is a STAC ItemCollection, kept in the lake as JSON that people and other tools can read."""

from typing import Any

import dagster as dg
import pystac
from pydantic import PrivateAttr
from upath import UPath

from up42_pipelines.failures import explained
from up42_pipelines.lake import Lake
from up42_pipelines.resources import LakeResource

FOLDER = "assets"


class _JsonFiles(dg.UPathIOManager):
    """Where Dagster reads the extension; on the pydantic class below it would be taken for a field."""

    extension = ".json"


class StacIOManager(dg.ConfigurableIOManager, _JsonFiles):
    """Stores an asset's `pystac.ItemCollection` at `<lake>/assets/<asset key>/<partition>.json`, atomically.

    An input over one partition is an ItemCollection; over several, a mapping from partition key to ItemCollection.
    """

    lake: dg.ResourceDependency[LakeResource]

    _lake: Lake = PrivateAttr()
    _base_path: UPath = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Resolve the lake once per run."""
        self._lake = self.lake.lake
        self._base_path = UPath(self._lake.path(FOLDER), protocol=_protocol(self._lake), **self.lake.storage_options)

    @property
    def storage_options(self) -> dict[str, Any]:
        """Options of the lake's filesystem (the base class reads an attribute that universal-pathlib 0.3 dropped)."""
        return dict(self.lake.storage_options)

    def dump_to_path(self, context: dg.OutputContext, obj: pystac.ItemCollection, path: UPath) -> None:
        """Write the collection; readers see the old or the new file, never half of one."""
        with explained(f"Storing {context.asset_key.to_user_string()}"):
            self._lake.write_json(obj.to_dict(), *self._parts(path))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pystac.ItemCollection:
        """Read the collection."""
        with explained(f"Loading {context.asset_key.to_user_string()}"):
            return pystac.ItemCollection.from_dict(self._lake.read_json(*self._parts(path)))

    def make_directory(self, path: UPath) -> None:
        """Nothing to do: the lake makes folders when it writes."""

    def _parts(self, path: UPath) -> tuple[str, ...]:
        relative = path.path.removeprefix(self._lake.path(FOLDER)).strip("/")
        return (FOLDER, *relative.split("/"))


def _protocol(lake: Lake) -> str:
    protocol = lake.fs.protocol
    return protocol if isinstance(protocol, str) else str(protocol[0])


def stored_items(lake: Lake, key: dg.AssetKey, partition_key: str) -> pystac.ItemCollection | None:
    """The value of an asset's partition as `StacIOManager` keeps it; None when there is none.

    For what Dagster does not load: an op, or an asset that works on several partitions of another one.

    Raises:
        LakeError: it cannot be read.
    """
    parts = (FOLDER, *key.path, *partition_key.split("|"))
    parts = (*parts[:-1], f"{parts[-1]}.json")
    return pystac.ItemCollection.from_dict(lake.read_json(*parts)) if lake.exists(*parts) else None
