"""What a measured process says about itself; standard library alone, because the SDK's interpreter runs it too."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def work() -> Iterator[dict[str, Any]]:
    """Time the block and print the figures as the last line of stdout; what is put into the dict goes with them.

    Interpreter start and imports are left out: a pipeline pays them once per process, not once per file. The harness
    sees the whole process as well, and reports both.
    """
    notes: dict[str, Any] = {}
    before_s, cpu_before_s = time.perf_counter(), _cpu_s()
    yield notes
    figures = {"wall_s": time.perf_counter() - before_s, "cpu_s": _cpu_s() - cpu_before_s}
    sys.stdout.write(f"\n{json.dumps(figures | {'notes': notes})}\n")
    sys.stdout.flush()


def _cpu_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
