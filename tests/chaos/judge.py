"""What went wrong in a round, from what UP42 has and what the lake says. Knows nothing of how buying works. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What there is to see after a round.

    Attributes:
        bought: the round's orders or jobs at UP42, as the sandbox's ledger lists them: `id`, `key`, `credits`.
        intents: the last version of each intent.
        sheets: versions of the pipeline's ledger, as far as they were still there.
        sheet: the last one; None when there is no ledger.
        prices: what each thing that was wanted costs, by key.
        outcomes: what became of each, by key, when everything was wanted once more and nothing went wrong.
        ceiling: the most that they may cost together; None for no ceiling.
        unfinished: how many processes of the round never came to an end.
    """

    bought: Sequence[Json]
    intents: Sequence[Json]
    sheets: Sequence[Json]
    prices: Mapping[str, int]
    outcomes: Mapping[str, str]
    sheet: Json | None = None
    ceiling: int | None = None
    unfinished: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The figures, all of which should be 0.

    Attributes:
        duplicates: what was bought beyond the first of a key.
        lost: what no intent knows, and ids of intents that do not exist.
        over: credits above the ceiling: of what was bought, and of the worst version of the ledger.
        stuck: things that are neither bought nor too dear, reservations that stayed, processes that never ended.
        sentences: all this in words.
    """

    duplicates: int
    lost: int
    over: int
    stuck: int
    sentences: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        return not self.sentences


def judge(facts: Facts) -> Verdict:
    """Compare what exists with what may exist."""
    by_key: dict[str, list[Json]] = defaultdict(list)
    for one in facts.bought:
        by_key[one["key"]].append(one)
    duplicates = [
        f"{key}: bought {len(several)} times, {', '.join(one['id'] for one in several)}"
        for key, several in by_key.items()
        for _ in several[1:]
    ]
    lost, over = _lost(facts, by_key), _over(facts)
    stuck = [
        *_unfinished(facts, by_key),
        *_left_reserved(facts),
        *["a process never came to an end"] * facts.unfinished,
    ]
    return Verdict(
        duplicates=len(duplicates),
        lost=len(lost),
        over=sum(over.values()),
        stuck=len(stuck),
        sentences=(*duplicates, *lost, *over, *stuck),
    )


def _lost(facts: Facts, by_key: Mapping[str, Sequence[Json]]) -> list[str]:
    known = {intent["key"]: set(intent.get("purchase_ids", ())) for intent in facts.intents}
    exists = {key: {one["id"] for one in several} for key, several in by_key.items()}
    return [
        f"{key}: {one} {what}"
        for key in sorted(known.keys() | exists.keys())
        for ids, what in (
            (exists.get(key, set()) - known.get(key, set()), "is known to no intent"),
            (known.get(key, set()) - exists.get(key, set()), "is in an intent and does not exist"),
        )
        for one in sorted(ids)
    ]


def _over(facts: Facts) -> dict[str, int]:
    if facts.ceiling is None:
        return {}
    found = {"what was bought": sum(one["credits"] for one in facts.bought)}
    found |= {f"version {sheet['version']} of the ledger": _committed(sheet) for sheet in facts.sheets}
    return {
        f"{what}: {credits} credits, the ceiling is {facts.ceiling}": credits - facts.ceiling
        for what, credits in found.items()
        if credits > facts.ceiling
    }


def _unfinished(facts: Facts, by_key: Mapping[str, Sequence[Json]]) -> list[str]:
    spent = sum(one["credits"] for one in facts.bought)
    sentences = []
    for key, price in facts.prices.items():
        outcome = facts.outcomes.get(key, "no answer")
        fits = facts.ceiling is None or spent + price <= facts.ceiling
        if (outcome == "bought") != (key in by_key) or outcome not in {"bought", "refused"}:
            sentences.append(f"{key}: {outcome}, and bought {len(by_key.get(key, ()))} times")
        elif outcome == "refused" and fits:
            sentences.append(f"{key}: refused, although {price} and {spent} credits fit under {facts.ceiling}")
    return sentences


def _left_reserved(facts: Facts) -> list[str]:
    entries = (facts.sheet or {}).get("entries", {}).items()
    return [f"{key}: still reserved on the ledger" for key, entry in entries if entry["state"] == "reserved"]


def _committed(sheet: Json) -> int:
    return sum(entry["credits"] for entry in sheet.get("entries", {}).values() if entry["state"] != "returned")
