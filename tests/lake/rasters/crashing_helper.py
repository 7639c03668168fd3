"""The helper with jobs that go wrong: what `describe` does is told by the name of the file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.rasters.helper import JOBS, serve


def misbehave(source: dict[str, Any]) -> Any:
    path = Path(source["path"])
    path.write_text(f"{os.getpid()} {os.getppid()}")
    if path.stem not in CRIMES:
        return JOBS["describe"](source)
    return CRIMES[path.stem](path)


def spin(_: Path) -> None:
    while True:
        pass


def fail(error: Exception) -> None:
    raise error


def orphan(_: Path) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()


def facts(_: Path) -> dict[str, Any]:
    return {
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "descriptors": [entry.name for entry in Path("/proc/self/fd").iterdir()],
    }


CRIMES: dict[str, Callable[[Path], Any]] = {
    "signal": lambda path: os.kill(os.getpid(), int(path.suffix[1:])),
    "memory": lambda _: len(bytearray(2 << 30)),
    "spin": spin,
    "wait": lambda _: signal.pause(),
    "exit": lambda _: os._exit(3),
    "bug": lambda _: fail(ZeroDivisionError("of all things")),
    "disk": lambda _: fail(LakeError("the disk is full")),
    "nonsense": lambda _: {"width": "wide"},
    "orphan": orphan,
    "facts": facts,
}


if __name__ == "__main__":
    serve({**JOBS, "describe": misbehave})
