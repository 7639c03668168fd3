"""Ours: straight into a bucket: `python -m benchmarks.clients.ours_stream URL CONNECTIONS LAKE NAME`."""

from __future__ import annotations

import os
import sys

import gcsfs  # noqa: F401 - fsspec imports it at the first use; staging has it imported before its clock starts

from benchmarks.work import work
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.transfer.stream import stream


def main() -> None:
    """Stream one object, hashed on the way."""
    url, connections, lake_url, name = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    with work() as notes:
        lake = Lake(lake_url, {"token": "anon", "endpoint_url": os.environ["STORAGE_EMULATOR_HOST"]})
        streamed = stream(lambda: url, lake, name, connections=connections)
        notes["sha256"] = streamed.sha256


if __name__ == "__main__":
    main()
