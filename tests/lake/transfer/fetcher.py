"""A child process that fetches one file, to be killed or to be short of something; its arguments are a JSON object."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from up42_pipelines.errors import Up42Error
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import download


def main() -> None:
    options = json.loads(sys.argv[1])
    if "largest_file" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["largest_file"], options["largest_file"]))
    outcome = {"modules": sorted(sys.modules)}
    try:
        received = download(
            lambda: options["url"],
            Path(options["target"]),
            limits=Limits(connections=options["connections"]),
            part_bytes=options["part_bytes"],
        )
        outcome["verified_by"] = received.verified_by
    except Up42Error as error:
        outcome["error"] = f"{type(error).__name__}: {error}"
    # Not ru_maxrss: that one counts the parent's memory at the time of the fork.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    outcome["peak_mb"] = int(peak.split()[1]) / 1024
    sys.stdout.write(json.dumps(outcome))


if __name__ == "__main__":
    main()
