"""up42-py's own download, as it is: `.venv-sdk/bin/python -m benchmarks.clients.sdk_download FOLDER URL...`.

`ImageFile.download` is what the SDK gives for the file of a STAC asset; it takes a signed URL, and does not verify what
arrives. Whoever wants several files calls it for one after the other. Runs in the SDK's environment, not in ours.
"""

from __future__ import annotations

import sys
import warnings

from up42.utils import ImageFile  # type: ignore[import-not-found]  # another environment's

from benchmarks.work import work


def main() -> None:
    """Fetch one after the other."""
    # It warns when a URL names no file for it, and takes the name "output" then.
    warnings.simplefilter("error")
    folder, urls = sys.argv[1], sys.argv[2:]
    with work():
        for url in urls:
            ImageFile(url).download(folder)


if __name__ == "__main__":
    main()
