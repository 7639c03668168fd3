"""The helper with jobs that go wrong: what `describe` does is told by the name of the file."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.confined import helper
from up42_pipelines.lake.confined.confinement import confine
from up42_pipelines.lake.confined.limits import ProcessLimits
from up42_pipelines.lake.rasters.drivers import keep_only_needed_drivers
from up42_pipelines.lake.rasters.helper import JOBS


def misbehave(source: dict[str, Any]) -> Any:
    path = Path(source["path"])
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
        "descriptors": [number for number in range(256) if is_open(number)],
    }


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def reach(path: Path) -> dict[str, str]:
    """What it gets at: a file beside its own, one of the system, the parent's folder, a port on loopback."""
    port = int(path.suffix[1:])
    attempts: dict[str, Callable[[], Any]] = {
        "own file": path.read_text,
        "own folder": lambda: Path("new").write_text("a"),
        "neighbour": lambda: path.with_name("secret").read_text(),
        "folder": lambda: list(path.parent.iterdir()),
        "system": lambda: Path("/etc/passwd").read_text(),
        "write": lambda: path.with_name("written").write_text("a"),
        "overwrite": lambda: path.write_text("a"),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 5).close(),
    }
    return {name: outcome(attempt) for name, attempt in attempts.items()}


def outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"


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
    "reach": reach,
}


def confine_and_tell(limits: ProcessLimits, folder: Path, *, reads: list[Path]) -> None:
    """Write process ids, and how many threads the helper has, into a file that is no raster, while that is allowed."""
    if reads[0].stat().st_size < 30:
        tasks = Path(f"/proc/{os.getppid()}/task")
        threads = len(list(tasks.iterdir())) if tasks.exists() else 1
        reads[0].write_text(f"{os.getpid()} {os.getppid()} {threads}")
    confine(limits, folder, reads=reads)


if __name__ == "__main__":
    helper.confine = confine_and_tell
    keep_only_needed_drivers()
    helper.serve({**JOBS, "describe": misbehave})
