"""Fetch the files of a delivery over parallel connections, verified, and resumed after whatever went wrong."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from up42_pipelines.errors import Up42Error
from up42_pipelines.lake.transfer.delivery import Delivery, Limits
from up42_pipelines.lake.transfer.file_transfer import FileTransfer, Wanted
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.transfer.parts import Source
from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.plan import PART_BYTES
from up42_pipelines.lake.transfer.pool import Pool

_BETWEEN_REPORTS_S = 0.25


def fetch(
    wanted: Sequence[Wanted],
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
    on_progress: Callable[[str, int, int | None], None] | None = None,
    part_bytes: int = PART_BYTES,
    sleep: Callable[[float], object] | None = None,
) -> Generator[tuple[str, Received | Up42Error], None, None]:
    """Fetch files, and give each one's name and outcome in order of completion.

    Files start in the order given, as parts over as many connections as `limits` allow. A file appears under its
    target's name whole and verified (length, and crc32c or md5 where the server announces them), or not at all. What is
    there when a transfer fails, is closed or killed stays beside the target (`.partial`, `.journal`), and the next
    transfer to the same target fetches the parts that are missing; it may be removed at any time when no transfer runs.

    One file that fails does not stop the others. Closing the iterator cuts all connections and ends all threads.

    Args:
        wanted: the files; no two with the same target.
        limits: connections; the default ones when None.
        patience: time-outs and retries; the default ones when None.
        on_progress: called with (name, bytes so far, bytes in total or None), a few times per second and once at the
            end, in the thread that iterates and only while it waits. After a restart the bytes begin at 0 again.
        part_bytes: length of the parts.
        sleep: pauses between attempts, in seconds; ends early with the iterator when None.

    Yields:
        Name, and the file; or why it did not come: `TransferError` (it did not arrive whole), `LakeError` (its target
        cannot be written), or another error of this package that its `sign` raised. What else a `sign` raises is raised
        here, and ends the transfer.
    """
    limits = limits or Limits()
    report = _Reports(on_progress)
    with Pool(patience) as pool:
        sources = (Source(one.sign, pool, part_bytes=part_bytes, sleep=sleep) for one in wanted)
        delivery = Delivery([FileTransfer(*pair) for pair in zip(wanted, sources, strict=True)], limits)
        try:
            delivery.start()
            left = len(wanted)
            while left:
                for file, result in delivery.wait(_BETWEEN_REPORTS_S):
                    left -= 1
                    if isinstance(result, Received):
                        report(file.wanted.name, result.size, result.size)
                    yield file.wanted.name, result
                for file in delivery.under_way():
                    report(file.wanted.name, file.arrived, file.total)
        finally:
            delivery.stop(pool.close)


def download(
    sign: Callable[[], str],
    target: Path,
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    part_bytes: int = PART_BYTES,
    sleep: Callable[[float], object] | None = None,
) -> Received:
    """Fetch the object behind a signed URL into `target`, as `fetch` does with many.

    Raises:
        TransferError: the object did not arrive whole.
        LakeError: `target` cannot be written.
    """
    wanted = Wanted(name=target.name, sign=sign, target=target)

    def report(_: str, done: int, total: int | None) -> None:
        if on_progress is not None:
            on_progress(done, total)

    outcome = fetch([wanted], limits=limits, patience=patience, on_progress=report, part_bytes=part_bytes, sleep=sleep)
    with closing(outcome):
        _, result = next(outcome)
    if isinstance(result, Received):
        return result
    raise result


class _Reports:
    """Tells about a file when there is something new to tell."""

    def __init__(self, on_progress: Callable[[str, int, int | None], None] | None) -> None:
        self._on_progress = on_progress
        self._told: dict[str, tuple[int, int | None]] = {}

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if self._on_progress is not None and self._told.get(name) != (done, total):
            self._told[name] = (done, total)
            self._on_progress(name, done, total)
