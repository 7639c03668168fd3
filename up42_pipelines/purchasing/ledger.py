"""The budget's sheet in the lake, shared by processes that know nothing of each other.

Every change is a new version of the whole sheet, which exactly one process can create (`lake.Journal`). Who comes
second reads the new version and decides again, so that no two reservations are made from the same figures.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from functools import reduce

from pydantic import ValidationError

from up42_pipelines.errors import BudgetExceeded, LakeError
from up42_pipelines.lake.journal import Journal
from up42_pipelines.lake.store import Lake
from up42_pipelines.purchasing import budget
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState, Refusal, Sheet

_KEPT_VERSIONS = 50
_TRIES = 50
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 4.0


class Ledger:
    """What one pipeline has committed, and its ceilings.

    All methods can be called by any number of processes at the same time, and again after a crash. Each raises
    LakeError when the lake fails, or when others change the ledger so often that this process never gets through.

    Attributes:
        pipeline: name of the pipeline.
        ceilings: of this process; they are configuration, and not kept in the lake.
    """

    def __init__(
        self,
        lake: Lake,
        pipeline: str,
        ceilings: Ceilings,
        *,
        found_at_up42: Callable[[], Iterable[Entry]],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """A ledger; nothing is read yet.

        Args:
            lake: where it is kept, in `purchases/ledgers/<pipeline>/`.
            pipeline: name of the pipeline.
            ceilings: what may be committed.
            found_at_up42: lists the pipeline's purchases at UP42, as entries that are spent or returned. Called when
                there is no ledger: at first use, or after somebody removed it.
            sleep: waits.
        """
        self.pipeline, self.ceilings = pipeline, ceilings
        self._found_at_up42, self._sleep = found_at_up42, sleep
        self._journal = Journal(lake, "purchases", "ledgers", pipeline, keep=_KEPT_VERSIONS)

    def sheet(self) -> Sheet:
        """The sheet as it is now."""
        return self._read()[1]

    def reserved(self) -> list[Entry]:
        """Reservations that were neither settled nor released, the oldest first."""
        reserved = (entry for entry in self.sheet().entries.values() if entry.state == EntryState.RESERVED)
        return sorted(reserved, key=lambda entry: (entry.at, entry.key))

    def reserve(self, entry: Entry) -> None:
        """Reserve the credits of a purchase; to be done before the request that spends.

        Raises:
            BudgetExceeded: a ceiling does not hold; nothing was reserved.
        """
        self._change(lambda sheet: self._reserved(sheet, entry))

    def release(self, key: str, *, claim: int = 0, journal: str = "") -> None:
        """Take back what was reserved up to this claim, when certainly nothing was bought (`budget.release`)."""
        self._change(lambda sheet: budget.release(sheet, key, claim=claim, journal=journal))

    def returned(self, key: str) -> None:
        """Record that UP42 gave the credits back (`budget.returned`)."""
        self._change(lambda sheet: budget.returned(sheet, key))

    def found(self, entry: Entry) -> None:
        """Record a purchase that exists at UP42, whatever the ceilings say (`budget.found`)."""
        self._change(lambda sheet: budget.found(sheet, entry))

    def __str__(self) -> str:
        return f"The ledger of pipeline {self.pipeline}"

    def _change(self, decide: Callable[[Sheet], Sheet]) -> None:
        for failures in range(_TRIES):
            number, sheet = self._read()
            changed = decide(sheet)
            if changed == sheet or self._append(number, changed):
                return
            # Full jitter, as for downloads: a crowd that comes back at the same instant meets again.
            self._sleep(random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**failures)))  # noqa: S311 - no secret
        raise LakeError(
            f"{self} is too busy: {_TRIES} times another process changed it first. Nothing was changed. Run again, "
            "with fewer runs at the same time."
        )

    def _read(self) -> tuple[int, Sheet]:
        """The latest version and its number. Where there is none, one is made of what UP42 lists."""
        while (version := self._journal.latest()) is None:
            empty = Sheet(pipeline=self.pipeline)
            self._append(0, reduce(budget.found, self._found_at_up42(), empty))  # or somebody else was faster
        try:
            return version.number, Sheet.model_validate(version.document)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            raise LakeError(
                f"{self}, version {version.number}, cannot be read: {problems}. Nothing is bought as long as that is "
                "so. Restore it; or, while nothing runs, remove the ledger's folder: a new one is made of what UP42 "
                "lists."
            ) from error

    def _append(self, after: int, sheet: Sheet) -> bool:
        return self._journal.append(after, sheet.model_dump(mode="json", exclude_defaults=True))

    def _reserved(self, sheet: Sheet, entry: Entry) -> Sheet:
        outcome = budget.reserve(sheet, entry, self.ceilings)
        if not isinstance(outcome, Refusal):
            return outcome
        raise BudgetExceeded(
            outcome.sentence(f"Purchase {entry.key} for partition {entry.partition}"),
            ceiling=outcome.ceiling,
            limit=outcome.limit,
            committed=outcome.committed,
            asked=outcome.asked,
            left=outcome.left,
        )
