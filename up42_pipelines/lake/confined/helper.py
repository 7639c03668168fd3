"""The helper interpreter of a `worker.ConfinedWorker`: imports its libraries once, and forks for each job.

It talks JSON lines: a request on stdin, its answer on stdout. It opens no file itself and stays single-threaded, so
that forking is safe; what a file does to the process that handles it ends with that process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.confined.confinement import close_all_but, confine
from up42_pipelines.lake.confined.limits import ProcessLimits
from up42_pipelines.lake.confined.wire import from_line, rebuilt, to_line

Job = Callable[..., Any]

_MAX_ANSWER_BYTES = 64 << 20
_CHUNK = 1 << 16


def serve(jobs: Mapping[str, Job]) -> None:
    """Answer requests until stdin ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    os.set_inheritable(answers, False)
    requests = _Requests()
    _write(answers, to_line({"ready": os.getpid()}))
    while (line := requests.next()) is not None:
        _write(answers, to_line(_in_a_child(from_line(line, dict), jobs, requests)))


class _Requests:
    """Lines of stdin, and whether it has ended: then whoever asked is gone."""

    def __init__(self) -> None:
        self._received = b""

    def next(self) -> bytes | None:
        while b"\n" not in self._received:
            if not self.more():
                return None
        line, _, self._received = self._received.partition(b"\n")
        return line

    def more(self) -> bool:
        chunk = os.read(0, _CHUNK)
        self._received += chunk
        return bool(chunk)


def _in_a_child(request: dict[str, Any], jobs: Mapping[str, Job], requests: _Requests) -> dict[str, Any]:
    """Run a job in a fork, within its limits; its answer, or what ended it, and what it took."""
    limits = rebuilt(request["limits"], ProcessLimits)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(request, jobs, limits, writer)
    os.close(writer)
    answer, ended_by = _listen(reader, requests, limits.seconds)
    os.close(reader)
    if ended_by is not None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if ended_by == "parent":
        sys.exit(0)
    outcome = _outcome(answer, ended_by, status)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    outcome["usage"] = {"peak_bytes": usage.ru_maxrss * unit, "cpu_seconds": usage.ru_utime + usage.ru_stime}
    return outcome


def _listen(reader: int, requests: _Requests, seconds: float) -> tuple[bytes, str | None]:
    """What a child writes until it is done; else why it is not waited for."""
    deadline, answer = time.monotonic() + seconds, b""
    while True:
        readable, _, _ = select.select([reader, 0], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return answer, "seconds"
        if reader in readable:
            chunk = os.read(reader, _CHUNK)
            answer += chunk
            if not chunk:
                return answer, None
            if len(answer) > _MAX_ANSWER_BYTES:
                return answer, "answer"
        elif not requests.more():
            return answer, "parent"


def _outcome(answer: bytes, ended_by: str | None, status: int) -> dict[str, Any]:
    if ended_by is not None:
        return {"ended_by": ended_by}
    if os.WIFSIGNALED(status):
        return {"signal": signal.Signals(os.WTERMSIG(status)).name}
    try:
        outcome: dict[str, Any] = from_line(answer, dict)
    except ValueError:
        return {"unexpected": f"exit code {os.waitstatus_to_exitcode(status)} and no answer"}
    return outcome


def _child(request: dict[str, Any], jobs: Mapping[str, Job], limits: ProcessLimits, writer: int) -> None:
    """The fork's whole life; never returns."""
    try:
        close_all_but(writer)
        confine(limits, Path(request["folder"]), reads=[Path(path) for path in request["reads"]])
        try:
            answer = to_line({"result": jobs[request["job"]](**request["arguments"])})
        except InvalidDelivery as error:
            answer = to_line({"refused": str(error)})
        except LakeError as error:
            answer = to_line({"failed": str(error)})
        except MemoryError:
            answer = to_line({"ended_by": "memory"})
        except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes, it is refused
            answer = to_line({"unexpected": f"{type(error).__name__}: {error}"})
        _write(writer, answer)
    finally:
        os._exit(0)  # no clean-up of what was forked with us


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
