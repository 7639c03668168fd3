"""rio-cogeo with its default profile: `python -m benchmarks.clients.cog_peer SOURCE TARGET`."""

from __future__ import annotations

import sys
from typing import Any

from rio_cogeo.cogeo import cog_translate
from rio_cogeo.profiles import cog_profiles

from benchmarks.work import work


def main() -> None:
    """What `rio cogeo create SOURCE TARGET` does."""
    profile: dict[str, Any] = cog_profiles.get("deflate")  # type: ignore[no-untyped-call]
    with work():
        cog_translate(sys.argv[1], sys.argv[2], profile, quiet=True)


if __name__ == "__main__":
    main()
