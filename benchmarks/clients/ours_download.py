"""Ours: the files of a delivery, verified: `python -m benchmarks.clients.ours_download FOLDER CONNECTIONS URL...`."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.work import work
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import fetch
from up42_pipelines.lake.transfer.file_transfer import Wanted
from up42_pipelines.lake.transfer.partial import Received


def main() -> None:
    """Fetch all.

    Raises:
        SystemExit: a file did not arrive, or was not verified by its crc32c.
    """
    folder, connections, urls = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    with work():
        for name, result in fetch([_wanted(folder, url) for url in urls], limits=Limits(connections=connections)):
            if not isinstance(result, Received) or result.verified_by != "crc32c":
                raise SystemExit(f"{name}: {result}")


def _wanted(folder: Path, url: str) -> Wanted:
    name = Path(urlsplit(url).path).name
    return Wanted(name=name, sign=lambda: url, target=folder / name)


if __name__ == "__main__":
    main()
