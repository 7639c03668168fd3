"""A document in the lake that several processes change at once, as a folder of its versions.

    000001.json
    000002.json
    000003.json        the document as it is now

A version is created and never changed, so a store that refuses to create what exists is all this needs: whoever has
read version 3 and creates version 4 knows that nobody else decided anything in between.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.store import Lake

_NAME = re.compile(r"(\d{6}|[1-9]\d{6,})\.json")
_STAMPS = ("version", "written_at", "written_by")


@dataclass(frozen=True, slots=True)
class Version:
    """What a journal's document was at one time.

    Attributes:
        number: counted from 1.
        document: as it was given to `append`.
    """

    number: int
    document: dict[str, Any]


class Journal:
    """The versions of one document, in a folder of the lake that nothing else writes to.

    To change the document: read `latest`, decide, `append` after its number; on False somebody else was faster, so
    read and decide again. Each version is JSON for people as well: who wrote it (`written_by`: host, process, and a
    token of this one append) and when (`written_at`, ISO 8601, UTC) stand beside the document's own fields.

    With `keep`, `append` removes all but the newest versions. A writer that has slept meanwhile can then create a
    version whose number was used and removed. This changes nothing, as long as a listing shows every write before it
    and is over before `keep` more versions are appended:

    * The newest version is never removed, and each was created while the one before it was the newest. So the
      sleeper's version is not the newest, nobody reads it, and the next `append` removes it.
    * The sleeper is told. A number is removed only when `keep` higher ones were used. So if the listing after its
      `append` shows fewer higher numbers than that, its number was never used before, and the `append` counts. If it
      shows as many, the sleeper has either filled a hole or slept after a good `append`: it gets False, and only in
      the second case wrongly. Hence the decisions of a journal with `keep` must bear being made twice: who reads
      again finds its own change there, or not.

    Args:
        lake: where.
        folder: path of the journal's folder in the lake, as segments.
        keep: how many versions are kept; None keeps all of them.
    """

    def __init__(self, lake: Lake, *folder: str, keep: int | None = None) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep is {keep}: a journal keeps at least its newest version.")
        self._lake, self._folder, self._keep = lake, folder, keep

    def __repr__(self) -> str:
        return f"Journal({self._lake.href(*self._folder)!r})"

    def latest(self) -> Version | None:
        """The document as it is now; None when nothing was appended yet.

        Raises:
            LakeError: the lake cannot be read, or the version is damaged.
        """
        vanished = 0
        while numbers := self._numbers():
            try:
                return Version(numbers[-1], self._read(numbers[-1]))
            except LakeError as error:
                # Removed between listing and reading, so newer ones are there; if not, something else is wrong.
                if not isinstance(error.__cause__, FileNotFoundError) or numbers[-1] == vanished:
                    raise
                vanished = numbers[-1]
        return None

    def append(self, after: int, document: Mapping[str, Any]) -> bool:
        """Make `document` the next version, if the journal is still as the caller has read it.

        Args:
            after: number of the version that the caller has decided upon; 0 when there was none.
            document: JSON, without the fields `version`, `written_at` and `written_by`.

        Returns:
            Whether it is the next version. False: another one is; read again, and decide again.

        Raises:
            LakeError: the lake does not answer; the version may be there or not.
            ValueError: the document has a field of the journal's own, or NaN or an infinity.
        """
        if taken := [name for name in _STAMPS if name in document]:
            raise ValueError(f"{', '.join(taken)}: the journal itself writes these fields; give the document others.")
        number = after + 1
        writer = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        stamped = {"version": number, "written_at": now, "written_by": writer, **document}
        if not self._lake.create_json(stamped, *self._folder, _name(number)) and self._writer_of(number) != writer:
            return False
        return self._keep is None or self._prune(number, self._keep)

    def _prune(self, number: int, keep: int) -> bool:
        """Remove old versions; whether `number`, created just before, cannot have been used and removed already."""
        numbers = self._numbers()
        oldest = max(numbers, default=number) - keep + 1
        if number < oldest:
            return False
        for old in numbers:
            if old < oldest:
                self._lake.remove(*self._folder, _name(old))
        return True

    def _numbers(self) -> list[int]:
        """Numbers of the versions that are there, ascending; files of other names are not looked at."""
        matches = (_NAME.fullmatch(name) for name in self._lake.list(*self._folder))
        return sorted(int(match[1]) for match in matches if match)

    def _writer_of(self, number: int) -> str | None:
        """Who wrote a version; None when it is gone or does not say."""
        try:
            return self._load(number).get("written_by")
        except LakeError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def _read(self, number: int) -> dict[str, Any]:
        return {name: value for name, value in self._load(number).items() if name not in _STAMPS}

    def _load(self, number: int) -> dict[str, Any]:
        content = self._lake.read_bytes(*self._folder, _name(number))
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, f"no JSON ({error})") from error
        if not isinstance(document, dict):
            raise self._damaged(number, "no JSON object")
        return document

    def _damaged(self, number: int, how: str) -> LakeError:
        return LakeError(
            f"{self._lake.href(*self._folder, _name(number))} is {how}. It records what was done, so do not remove it: "
            "put its content back from a backup or an earlier generation of the object."
        )


def _name(number: int) -> str:
    return f"{number:06d}.json"
