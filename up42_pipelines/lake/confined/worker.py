"""Untrusted files, handled in a process of their own. Light: none of the libraries that handle them in this one."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

import up42_pipelines
from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.confined.limits import ProcessLimits
from up42_pipelines.lake.confined.wire import from_line, rebuilt, to_line

_START_SECONDS = 60.0
_GRACE_SECONDS = 10.0  # for the helper to tell that a job took too long
# What finds libraries and their data on conda and the like; nothing else is passed on, credentials least of all.
_PASSED_ON = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "GDAL_DATA",
    "PROJ_DATA",
    "PROJ_LIB",
)
_CONFINED = {
    "OPENBLAS_NUM_THREADS": "1",  # no threads: the helper forks
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve more address space than a job may have
    "GDAL_CACHEMAX": "64",  # MB
    "GDAL_DRIVER_PATH": "disable",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "PROJ_NETWORK": "OFF",
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a job took.

    Attributes:
        peak_bytes: resident memory at its peak, the libraries' 90 MB included.
        cpu_seconds: of all threads.
    """

    peak_bytes: int
    cpu_seconds: float


class ConfinedWorker:
    """Has untrusted files handled, one at a time, in child processes with limits (Linux and macOS).

    One helper interpreter, which starts with the first job, imports its libraries once and forks for each job, which
    costs some 10 ms. A file that crashes a library, or uses more than its limits, is refused with `InvalidDelivery`;
    this process, and the helper, live on. A helper that dies (out of memory, killed) is started anew, once per job.
    Threads may share a worker; they take turns.

    Attributes:
        usage: what the last job took.
    """

    _program: Sequence[str]
    _library: str
    """What a crash is blamed on."""

    def __init__(self, *, limits: ProcessLimits | None = None) -> None:
        """Without `limits`, they follow from the size of each file."""
        self._limits = limits
        self._turn = threading.Lock()
        self._helper: _Helper | None = None
        self.usage: Usage | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._stop()

    def _run(
        self, job: str, files: Sequence[Path], folder: Path, kind: Any, limits: ProcessLimits, arguments: dict[str, Any]
    ) -> Any:
        """Have a job done.

        Args:
            job: its name, in the helper's program.
            files: what it may read, the first one first: messages name that one.
            folder: where it may write.
            kind: type of its result.
            limits: unless the worker was given others.
            arguments: of the job.

        Raises:
            InvalidDelivery: the job refused the file, or was stopped at a limit.
            LakeError: the job failed for no fault of the file, or the helper does not live.
        """
        limits, name = self._limits or limits, files[0].name
        request = {"job": job, "folder": folder, "reads": list(files), "limits": limits, "arguments": arguments}
        with self._turn:
            try:
                answer = self._ask(request, limits.seconds + _GRACE_SECONDS)
            except _HelperDied:
                try:
                    answer = self._ask(request, limits.seconds + _GRACE_SECONDS)
                except _HelperDied as error:
                    raise LakeError(f"{name}: the helper that handles it died twice: {error}. Run again.") from error
            self.usage = rebuilt(answer["usage"], Usage)
        return _result(answer, kind, name, limits, self._library)

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            if self._helper is None:
                self._helper = _Helper(self._program)
            return self._helper.ask(request, seconds)
        except BaseException:
            self._stop()  # an answer that still comes would be taken for the next one
            raise

    def _stop(self) -> None:
        if self._helper is not None:
            self._helper.stop()
            self._helper = None


class _HelperDied(Exception):
    """The helper is gone, or does not answer."""


class _Helper:
    """The helper process, as requests and answers."""

    def __init__(self, program: Sequence[str]) -> None:
        paths = [str(Path(up42_pipelines.__file__).parents[1]), *(path for path in sys.path if path)]
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._home = Path(tempfile.mkdtemp(prefix="up42-helper-"))
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=self._home,
            env={**environment, **_CONFINED, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self._home)},
            start_new_session=True,  # a Ctrl-C is this process's to handle
            bufsize=0,
        )
        self._requests, self._answers = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        self._received = b""
        try:
            self._answer(_START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        line = to_line(request)
        try:
            while line:
                line = line[self._requests.write(line) :]
        except OSError as error:
            raise _HelperDied(self._last_words()) from error
        return self._answer(seconds)

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise _HelperDied(f"no answer within {seconds:.0f} s")
            chunk = os.read(self._answers.fileno(), 1 << 20)
            if not chunk:
                raise _HelperDied(self._last_words())
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = from_line(line, dict)
        return answer

    def stop(self) -> None:
        """End it, and the job it runs; waits until it has."""
        with suppress(OSError):
            self._requests.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._complaints.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _last_words(self) -> str:
        code = self._process.wait(_GRACE_SECONDS)
        self._complaints.seek(0)
        words = " ".join(self._complaints.read()[-400:].decode(errors="replace").split())
        return f"exit code {code}: {words or 'it said nothing'}"


def _result(answer: dict[str, Any], kind: Any, name: str, limits: ProcessLimits, library: str) -> Any:
    """The result that an answer holds, or what it says went wrong, raised."""
    match answer:
        case {"refused": str(message)}:
            raise InvalidDelivery(message)
        case {"failed": str(message)}:
            raise LakeError(message)
        case {"ended_by": str(cause)} | {"signal": str(cause)}:
            raise InvalidDelivery(f"{name} was given up: {_why_ended(cause, limits, library)}.")
        case {"result": result}:
            try:
                return rebuilt(result, kind)
            except ValueError as error:
                raise InvalidDelivery(
                    f"{name}: the answer about it cannot be read: {error}. Report this file."
                ) from error
    raise InvalidDelivery(f"{name} cannot be handled: {answer.get('unexpected', answer)!s:.300}. Report this file.")


def _why_ended(cause: str, limits: ProcessLimits, library: str) -> str:
    known = {
        "memory": f"it needs more than {limits.memory_bytes >> 20:,} MB of memory",
        # C++ aborts on an allocation that fails
        "SIGABRT": f"{library} aborted, as it does when it needs more than {limits.memory_bytes >> 20:,} MB of memory",
        "seconds": f"handling it took longer than {limits.seconds:,.0f} s",
        "SIGXCPU": f"it took more than {limits.cpu_seconds:,} s of CPU time",
        "SIGXFSZ": f"it would become a file of more than {limits.file_bytes:,} bytes",
        "SIGKILL": "the system killed the process, as it does when memory runs out",
        "answer": "what it says about itself is too long",
    }
    return known.get(cause, f"it crashed {library} ({cause}); report this file")


@contextmanager
def job_folder(parent: Path | None) -> Iterator[Path]:
    """An empty folder for one job, gone afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".job-", dir=parent))
    except OSError as error:
        raise LakeError(f"Cannot write to {parent}: {error.strerror or error}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
