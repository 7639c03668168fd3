"""What buys for a pipeline: each thing once, within its ceilings; and settles what dead runs have left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from up42_pipelines.errors import Up42Error
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.attempt import Attempt, Clock, NotThereError
from up42_pipelines.purchasing.intents import Intent, IntentBook
from up42_pipelines.purchasing.ledger import Ledger
from up42_pipelines.purchasing.protocol import Claim, Timing, Wait, next_action
from up42_pipelines.purchasing.purchase import Bought, Purchase

T = TypeVar("T")


class Buyer:
    """Buys on behalf of one pipeline.

    Args:
        book: the intents of the lake.
        ledger: the pipeline's ledger, with its ceilings.
        approvals: which prices need a person.
        run: the run on whose ceiling purchases count.
        restore: by kind, what makes a purchase of an intent again, to find out what became of it.
        timing: delays.
        tell: is given a sentence whenever something takes its time.
        clock: the time.
    """

    def __init__(
        self,
        book: IntentBook,
        ledger: Ledger,
        *,
        approvals: Approvals,
        run: str,
        restore: Mapping[str, Callable[[Intent], Purchase[Any]]],
        timing: Timing | None = None,
        tell: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self.book, self.ledger, self.run, self._restore = book, ledger, run, restore
        self.approvals, self.timing, self.tell = approvals, timing or Timing(), tell
        self.clock = clock or Clock()

    def buy(self, purchase: Purchase[T]) -> Bought[T]:
        """Make sure that it exists at UP42, once.

        What failed or was cancelled at UP42 counts as bought: only a person buys again, by raising the generation.

        Raises:
            BudgetExceeded: a ceiling, the balance or the UP42 budget does not allow it; nothing was bought.
            ApprovalRequired: its price waits for a person; nothing was bought.
            OrderRefused: UP42 does not take it; nothing was bought.
            OrderContradicted: what carries the key at UP42 is something else.
            OrderUnclear: UP42 may have taken it. Run again: it is looked up first.
            ApiError, Unreachable: a free call failed; nothing was bought.
            LakeError: the lake cannot be read or written. What was sent is found by its key.
        """
        return self._attempt(purchase, may_place=True).run()

    def recover(self, purchase: Purchase[T]) -> Bought[T] | None:
        """Find out what became of a purchase that somebody left behind, without buying; None when it does not exist.

        Its reservation is settled, or given back.
        """
        try:
            return self._attempt(purchase, may_place=False).run()
        except NotThereError:
            return None

    def restored(self, intent: Intent) -> Purchase[Any] | None:
        """The purchase that an intent was written for, perhaps by another process; None when it is of another kind."""
        restore = self._restore.get(intent.kind)
        return None if restore is None else restore(intent)

    def reclaim(self, *, wait: bool = True) -> list[str]:
        """Settle or give back the reservations that others left behind, by asking UP42. Their keys.

        Args:
            wait: also those that UP42's list cannot be asked about yet; this takes up to the settling delay for each.
        """
        reclaimed = []
        for entry in self.ledger.reserved():
            _, intent = self.book.read(entry.key)
            purchase = None if intent is None else self.restored(intent)
            if intent is None or purchase is None or (not wait and self._is_pending(intent)):
                continue
            self.tell(f"{intent.label}: reserved by another run; asking UP42 what became of it.")
            try:
                self.recover(purchase)
            except Up42Error as error:  # one that stays unclear must not keep the others
                self.tell(f"{intent.label}: its reservation stays. {error}")
            else:
                reclaimed.append(entry.key)
        return reclaimed

    def _attempt(self, purchase: Purchase[T], *, may_place: bool) -> Attempt[T]:
        return Attempt(
            purchase,
            book=self.book,
            ledger=self.ledger,
            approvals=self.approvals,
            run=self.run,
            timing=self.timing,
            tell=self.tell,
            clock=self.clock,
            make_room=lambda: bool(self.reclaim(wait=False)),
            may_place=may_place,
        )

    def _is_pending(self, intent: Intent) -> bool:
        """Whether nothing can be said about it yet: somebody is at it, or the list is not to be believed."""
        now = self.clock.now()
        match next_action(intent, (), me="", now=now, timing=self.timing):
            case Wait():
                return True
            case Claim(settled_from):
                return settled_from is not None and settled_from > now
        return False
