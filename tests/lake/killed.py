"""Creates an object in a local lake, again and again, in processes killed at one moment later each time.

The moments lie before and after each call to the operating system. Prints a JSON list of the exit codes; the last one,
0, is of the first process that got through. A program of its own for the reason that `racers.py` gives.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from up42_pipelines.lake import Lake

CALLS = ("mkdir", "open", "fsync", "close", "link", "unlink")


def create(folder: str, moments: int) -> None:
    """Create `<moments>/object`, and be killed when so many moments have passed."""
    left = moments

    def pass_moment() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def between_moments(*arguments: Any, **options: Any) -> Any:
            pass_moment()
            answer = call(*arguments, **options)
            pass_moment()
            return answer

        return between_moments

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))
    Path.open = watched(Path.open)  # type: ignore[method-assign]
    Lake(folder).create(b"whole\n" * 50_000, str(moments), "object")
    os._exit(0)


if __name__ == "__main__":
    codes: list[int | None] = []
    while 0 not in codes:
        process = multiprocessing.get_context("fork").Process(target=create, args=(sys.argv[1], len(codes)))
        process.start()
        process.join()
        codes.append(process.exitcode)
    sys.stdout.write(json.dumps(codes))
