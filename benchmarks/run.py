"""All benchmarks, one after the other: `python -m benchmarks.run FOLDER` writes a JSON file for each into it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import REPOSITORY, python, say

CASES = (
    ("download", "loopback"),
    ("download", "link"),
    ("stream", "loopback"),
    ("stream", "link"),
    ("cog", "uint16"),
    ("cog", "rgb"),
    ("stac", "items"),
    ("stac", "index"),
)


def main() -> int:
    """Each in its own process; 1 when one of them failed or kept a promise not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the JSON files")
    parser.add_argument("--quick", action="store_true", help="tiny inputs, one round: only shows that all of them run")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names as download-link; all when left out")
    chosen = parser.parse_args()
    failed = []
    for script, case in CASES:
        name = f"{script}-{case}"
        if chosen.only and name not in chosen.only:
            continue
        say(f"--- {name}")
        path = (chosen.folder / f"{name}.json").absolute()
        command = python(f"benchmarks.{script}", case, "--json", path, *(["--quick"] if chosen.quick else []))
        if subprocess.run(command, cwd=REPOSITORY, check=False).returncode != 0:  # noqa: S603 - our own modules
            failed.append(name)
    if failed:
        say(f"failed, or did not keep a promise: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
