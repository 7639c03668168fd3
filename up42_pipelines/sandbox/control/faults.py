"""Which rules a request meets, and the book that remembers the rules and what they did.

The choice is a pure function of the rules, how far each has come, and a seed.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from up42_pipelines.sandbox.control.fault_rules import Fault, FaultOrder, RequestFault
from up42_pipelines.sandbox.core import chance
from up42_pipelines.sandbox.core.clock import timestamp

LOG_LENGTH = 1000
ENDING = frozenset({"drop_before", "drop_after", "unauthorized", "status", "expired_url"})
"""Kinds that leave nothing of the answer to the rules after them."""


@dataclass(frozen=True)
class Entry:
    """A rule and how far it has come.

    Attributes:
        rule: when it applies, and what it does.
        lot: seed and position, which decide its draws.
        met: how often something it matches came by.
        applied: how often it was applied.
    """

    rule: Fault
    lot: tuple[int, int]
    met: int = 0
    applied: int = 0

    @property
    def left(self) -> int | None:
        """How often it will still apply; None for ever."""
        return None if self.rule.times is None else self.rule.times - self.applied

    def after_a_match(self) -> Entry:
        """Return the entry after one more match; `applied` grows when the rule applies to it."""
        draw = chance.fraction("fault", *self.lot, self.met)
        applies = self.met >= self.rule.skip and draw < self.rule.probability
        return replace(self, met=self.met + 1, applied=self.applied + applies)


def choose(entries: Sequence[Entry], matches: Callable[[Fault], bool]) -> tuple[tuple[Entry, ...], tuple[Fault, ...]]:
    """Let something pass the rules in their order.

    All that match apply, up to the first of an ENDING kind; those after it do not notice what passed.

    Returns:
        The entries afterwards, and the rules to apply.
    """
    after: list[Entry] = []
    applied: list[Fault] = []
    for entry in entries:
        ended = bool(applied) and applied[-1].kind in ENDING
        if ended or entry.left == 0 or not matches(entry.rule):
            after.append(entry)
            continue
        after.append(entry.after_a_match())
        if after[-1].applied > entry.applied:
            applied.append(entry.rule)
    return tuple(after), tuple(applied)


class FaultBook:
    """The rules in force and what they did. In memory only: a restart forgets it. Any thread may use it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget the rules, the log, and which ETags have changed."""
        with self._turn:
            self._entries: tuple[Entry, ...] = ()
            self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
            self._etag_changes: Counter[str] = Counter()

    def add(self, order: FaultOrder) -> None:
        """Put rules after those that are there."""
        with self._turn:
            self._entries += tuple(Entry(rule, (order.seed, number)) for number, rule in enumerate(order.faults))

    def meet_request(self, method: str, path: str, now: int) -> tuple[Fault, ...]:
        """Return the rules that apply to a request."""
        return self._meet(method, path, now, lambda rule: isinstance(rule, RequestFault) and rule.matches(method, path))

    def meet_message(self, kind: str, url: str, now: int) -> tuple[Fault, ...]:
        """Return the rules of a kind that apply to a webhook message."""
        return self._meet("POST", url, now, lambda rule: rule.kind == kind)

    def _meet(self, method: str, path: str, now: int, matches: Callable[[Fault], bool]) -> tuple[Fault, ...]:
        with self._turn:
            self._entries, applied = choose(self._entries, matches)
            for rule in applied:
                self._log.append({"method": method, "path": path, "kind": rule.kind, "at": timestamp(now)})
                if rule.kind == "changed_etag":
                    self._etag_changes[path] += 1
        return applied

    def etag_changes(self, path: str) -> int:
        """Tell how often the object at a path was made to look like another one."""
        return self._etag_changes[path]

    def holds(self, rule: Fault) -> bool:
        """Tell whether a rule is in the book, used up or not."""
        return any(entry.rule is rule for entry in self._entries)

    def report(self) -> dict[str, Any]:
        """Write down the rules with what is left of them, and what was applied, oldest first."""
        with self._turn:
            rules = [
                {**entry.rule.model_dump(exclude_unset=True), "left": entry.left, "applied": entry.applied}
                for entry in self._entries
            ]
            return {"faults": rules, "log": list(self._log)}
