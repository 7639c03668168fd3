"""Programs of ours as processes: in new interpreters, or forked from one that has done their imports.

Until a sandbox listens, a new interpreter takes a second of CPU, and the suite starts a hundred of them.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["up42_pipelines.cli.local", "up42_pipelines.sandbox.server"])


def launch(module: str, arguments: Sequence[str], log: Path) -> subprocess.Popen[str]:
    """`python -m module …` in an interpreter of its own; `log` gets its standard error."""
    with log.open("ab") as file:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)


class Forked:
    """The same without a new interpreter: as much of a `Popen` as the suite uses.

    Attributes:
        stdout: what it prints.
        pid: of the process.
    """

    stdout: TextIO
    pid: int

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        ours, theirs = _SERVER.Pipe(duplex=False)
        # As a daemon it ends with the suite, whatever becomes of the test.
        self._process = _SERVER.Process(target=_run, args=(module, list(arguments), str(log), theirs), daemon=True)
        self._process.start()
        theirs.close()
        with ours:
            self.stdout = os.fdopen(os.dup(ours.fileno()))
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


def _run(module: str, arguments: list[str], log: str, stdout: Connection) -> None:
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 2)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
